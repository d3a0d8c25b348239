"""The first that fails is found in as many looks as halving needs; what cannot be said is said to be so."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpoints import checks
from checkpoints.bisecting import MOST_SKIPPED, first_bad
from checkpoints.checks import ABSENT, Check


@given(st.integers(2, 3_000), st.data())
def test_the_first_bad_one_is_found(count: int, data: st.DataObject) -> None:
    """Wherever it is, in log n looks, with its neighbour that passes."""
    bad = data.draw(st.integers(1, count - 1))
    found = first_bad(count, lambda n: n < bad)
    assert (found.ends, found.good, found.bad) == ("found", bad - 1, bad)
    assert found.looks <= 2 + math.ceil(math.log2(count))


@given(st.lists(st.booleans(), max_size=60))
def test_whatever_they_say_both_neighbours_are_told(said: list[bool]) -> None:
    """One passes and the next one fails; or an end says why there is nothing."""
    found = first_bad(len(said), said.__getitem__)
    if found.ends == "found":
        assert found.good is not None and found.bad == found.good + 1
        assert said[found.good] and not said[found.bad]
    elif not said:
        assert found.ends == "nothing"
    else:
        assert found.ends == ("newest_passes" if said[-1] else "oldest_fails")
        assert said[-1] or not said[0]


@given(st.lists(st.sampled_from([True, False, None]), max_size=60))
def test_what_cannot_be_judged_is_gone_around(said: list[bool | None]) -> None:
    """Between the two there is nothing but what could not be judged, and no more than a few are tried."""
    found = first_bad(len(said), said.__getitem__)
    assert len(found.skipped) <= MOST_SKIPPED + 1
    if found.ends == "found" and found.good is not None and found.bad is not None:
        assert said[found.good] is True and said[found.bad] is False
        assert set(range(found.good + 1, found.bad)) <= set(found.skipped)


def test_nothing_but_what_cannot_be_judged(count: int = 500) -> None:
    """Is given up soon."""
    found = first_bad(count, lambda n: None)
    assert found.ends == "unknown" and found.looks == MOST_SKIPPED + 1


@pytest.mark.parametrize(
    ("op", "value", "passing", "failing"),
    [
        ("equals", "100", [100, "100"], [100.5, True, None, "", [100], ABSENT]),
        ("equals", "true", [True, "true"], [1, "True", ABSENT]),
        ("equals", '{"a":1}', [{"a": 1}], [{"a": 2}, {}, ABSENT]),
        ("equals", "", [""], [None, 0, ABSENT]),
        ("is_not", "EUR", ["USD", None, 3, ABSENT], ["EUR"]),
        ("contains", "order", ["an order", ["order"], {"order": 1}], ["Order", [["order"]], 17, ABSENT]),
        ("contains", "4711", [[4711], "x4711", 14711], [[47110], None, ABSENT]),
        ("exists", "", [None, 0, "", []], [ABSENT]),
        ("greater", "10", [11, 10.5, 10**30], [10, "11", True, None, [], ABSENT]),
        ("less", "1e3", [999, -5], [1000, False, "1", ABSENT]),
        ("longer", "2", ["abc", [1, 2, 3], {"a": 1, "b": 2, "c": 3}], ["ab", [1], {}, 17, None, ABSENT]),
    ],
)
def test_each_operator(op: str, value: str, passing: list[Any], failing: list[Any]) -> None:
    """What it says; a value of another kind fails, and so does what is not there, but for `is not`."""
    check = Check("x", op, value)
    assert not checks.wrong_with(check)
    assert [one for one in passing if not checks.passes(check, one)] == []
    assert [one for one in failing if checks.passes(check, one)] == []


@pytest.mark.parametrize(
    "check",
    [
        Check("x", "eval", "1"), Check("x", "greater", "many"), Check("x", "less", ""),
        Check("x", "longer", "NaN"),
        Check("x" * 1_001, "exists"), Check("x", "equals", "y" * 1_001), Check("", "exists", where="file"),
        Check("x", "greater", "true"), Check("x", "exists", where="env"), Check("x", "greater", "[" * 900),
    ],
)  # fmt: skip
def test_what_is_no_check_is_said_in_words(check: Check) -> None:
    """Before anything is looked at."""
    assert checks.wrong_with(check).endswith(".")


@given(st.sampled_from(list(checks.WORDS)), st.text(max_size=30), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
))  # fmt: skip
def test_no_value_breaks_a_check(op: str, value: str, found: Any) -> None:
    """Whatever was written and whatever stands there, it passes or it fails."""
    check = Check("x", op, value)
    if not checks.wrong_with(check):
        assert checks.passes(check, found) in (True, False)
