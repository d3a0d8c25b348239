"""One place of a tree by its path: what stands there, and nothing more is loaded than leads to it."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from checkpoints.diffs import lines, places
from checkpoints.diffs.items import Path
from sdk.tests.tree import states
from sickbay.tree.text import dump, load
from tests.diffs.test_memory_diff import Store


def everywhere(value: Any, path: Path = ()) -> list[tuple[Path, Any]]:
    found: list[tuple[Path, Any]] = [(path, value)]
    if isinstance(value, list):
        for n, item in enumerate(value):
            found += everywhere(item, (*path, n))
    elif isinstance(value, dict):
        for key, item in value.items():
            found += everywhere(item, (*path, key))
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_every_place_is_found(seed: int) -> None:
    """Whatever the tree looks like, each path leads to the value that stands there."""
    dice = random.Random(seed)
    whole = {"m": [states.value(dice, 2) for _ in range(dice.randrange(40))], "s": states.value(dice, 1)}
    store = Store()
    with states.small_format():
        root = store.put(whole).root
        for path, value in dice.sample(all_of := everywhere(whole), min(30, len(all_of))):
            item = places.value(root, path, store.fetch)
            assert item is not None
            assert places.texts([item], store.fetch) == [dump(value)]
        assert places.value(root, ("nothing",), store.fetch) is None
        assert places.value(root, ("m", len(whole["m"])), store.fetch) is None
        assert [load(name) for name in places.names(root, store.fetch, 100)] == list(whole)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 300), st.integers(0, 40))
def test_every_stretch_is_found(seed: int, start: int, count: int) -> None:
    """Any part of any list, past its end too, is that part."""
    dice = random.Random(seed)
    whole = [states.value(dice, 1) for _ in range(dice.randrange(200))]
    store = Store()
    with states.small_format():
        root = store.put({"m": whole}).root
        container = places.value(root, ("m",), store.fetch)
        assert container is not None
        found = places.stretch(container, start, start + count, store.fetch)
        assert places.texts(found, store.fetch) == [dump(item) for item in whole[start : start + count]]


def test_a_stretch_loads_what_leads_to_it() -> None:
    """A few nodes of a long list, not all of them."""
    store = Store()
    root = store.put({"m": [f"item {n} " * 20 for n in range(5_000)]}).root
    loaded: list[bytes] = []

    def fetch(names: list[bytes]) -> dict[bytes, bytes]:
        loaded.extend(names)
        return store.fetch(names)

    container = places.value(root, ("m",), fetch)
    assert container is not None and len(places.stretch(container, 2_500, 2_510, fetch)) == 10
    assert len(loaded) < 10 < len(store.nodes)


texts = st.lists(st.sampled_from(["a", "b", "c d", "c e", ""]), max_size=30)


@settings(max_examples=200, deadline=None)
@given(texts, texts)
def test_hunks_hold_all_that_differs(old: list[str], new: list[str]) -> None:
    """Each removed and each added line stands in one hunk, with its number, and no other is marked."""
    unified = lines.unified(old, new, (old, new), most=1_000)
    shown = [line for hunk in unified.hunks for line in hunk]
    gone, come = {n.old for n in shown if n.kind == "del"}, {n.new for n in shown if n.kind == "add"}
    kept_old = [line for n, line in enumerate(old, 1) if n not in gone]
    assert kept_old == [line for n, line in enumerate(new, 1) if n not in come]
    assert lines.count(old, new) == (len(come), len(gone)) and not unified.left
    for line in shown:
        text = "".join(span.text for span in line.spans)
        assert line.old is None or text == old[line.old - 1]
        assert line.new is None or text == new[line.new - 1]


def test_what_is_too_long_is_cut_and_counted() -> None:
    """The lines that are not shown are counted."""
    unified = lines.unified([], [str(n) for n in range(500)], ([], [str(n) for n in range(500)]), most=60)
    assert sum(map(len, unified.hunks)) == 60 and unified.left == 440


@settings(max_examples=200, deadline=None)
@given(texts, texts)
def test_side_by_side_shows_each_line_on_its_side_in_order(old: list[str], new: list[str]) -> None:
    """Both columns are what the unified hunks say of that side; what stayed stands in one row."""
    for hunk in lines.unified(old, new, (old, new), most=1_000).hunks:
        rows = lines.beside(hunk)
        assert [left for left, _ in rows if left] == [line for line in hunk if line.kind != "add"]
        assert [right for _, right in rows if right] == [line for line in hunk if line.kind != "del"]
        assert all(left or right for left, right in rows)
        assert all(left == right for left, right in rows if left and left.kind == "same")
