"""Laws of one event, one line."""

from __future__ import annotations

import json

import orjson
from hypothesis import given
from hypothesis import strategies as st

from sickbay import _lines

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary()
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(SCALARS, inner), max_leaves=30
)


@given(ANYTHING)
def test_whatever_is_recorded_gives_one_line_of_json(value: object) -> None:
    """No value raises, and none breaks the line."""
    text = _lines.line({"kind": "action", "input": value})
    assert b"\n" not in text and json.loads(text)["kind"] == "action"


def test_what_orjson_refuses_goes_through_the_slow_door() -> None:
    """Huge integers, surrogates, odd keys, sets, NaN and infinities are said in the nearest words."""
    value = {
        "huge": 10**30,
        "torn": "a\ud800",
        1: "one",
        "set": {7},
        "nan": float("nan"),
        "inf": float("inf"),
    }
    said = json.loads(_lines.dumps(value))
    assert said == {"huge": str(10**30), "torn": "a?", "1": "one", "set": [7], "nan": None, "inf": None}


def test_a_cycle_and_a_bottomless_value_end() -> None:
    """Depth and size are bounded."""
    cycle: list[object] = []
    cycle += [cycle, cycle]
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    assert len(_lines.dumps({"cycle": cycle})) < 200_000
    assert b"\xe2\x80\xa6" in _lines.dumps(deep)


def test_an_integer_of_a_million_digits_costs_no_second() -> None:
    """Integers that str() refuses are shown by their head and their size."""
    assert b"bits" in _lines.dumps(1 << 4_000_000)


def test_a_foreign_repr_that_raises_harms_nobody() -> None:
    """An object whose repr raises is named by its type."""

    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError

    assert b"Odd: its repr raised RuntimeError" in _lines.dumps({"x": Odd()})


def test_a_line_over_the_limit_keeps_its_facts() -> None:
    """An over-long line stays within 64 KB; its short fields stand."""
    long = orjson.Fragment(orjson.dumps("y" * 70_000))
    text = _lines.line({"kind": "failure", "name": "pay", "input": "x" * 100_000, "output": long})
    assert len(text) <= _lines.LINE_LIMIT
    assert json.loads(text)["kind"] == "failure" and json.loads(text)["name"] == "pay"


def test_a_fragment_beside_something_odd_survives() -> None:
    """What was serialised already is kept when the line goes through the slow door."""
    said = json.loads(_lines.dumps({"input": orjson.Fragment(b'{"a":[1,2]}'), "huge": 1 << 80}))
    assert said["input"] == {"a": [1, 2]}
