"""What changed between two memories: all of it, no more of it, and without loading the rest."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkpoints.diffs import memory
from checkpoints.diffs.memory import Item, MemoryDiff
from sdk.tests.tree import states
from sickbay.tree import read
from sickbay.tree.grow import Tree, grow
from sickbay.tree.node import INLINE, name_of
from sickbay.tree.text import dump, load
from tests.diffs.applying import applied


class Store:
    """Nodes as a server has them, and how often it was asked."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, bytes] = {}
        self.asked = 0

    def put(self, value: Any, before: Tree | None = None) -> Tree:
        tree = grow(dump(value), before)
        self.nodes.update({new.name: new.plain for new in tree.new})
        return tree

    def fetch(self, names: list[bytes]) -> dict[bytes, bytes]:
        self.asked += 1
        return {name: self.nodes[name] for name in names}

    def read(self, item: Item) -> Any:
        """The value of an item, also of one that is only named."""
        if item.piece is None:
            return load(item.text)
        if item.piece.tag == INLINE:
            self.nodes[name_of(item.piece.text)] = item.piece.text
            return load(read.text_of(name_of(item.piece.text), self.fetch))
        if item.piece.tag == 5:
            return load(read.data_of(item.piece.name, self.fetch))
        return load(read.text_of(item.piece.name, self.fetch))

    def compare(self, old: Any, new: Any) -> MemoryDiff:
        before = self.put(old)
        after = self.put(new, before)
        self.asked = 0
        return memory.compare(before.root, after.root, self.fetch)


def told(diff: MemoryDiff) -> list[tuple[str, tuple[Any, ...]]]:
    return [(change.op, change.path) for change in diff.changes]


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32))
def test_the_changes_make_the_new_memory_of_the_old_one(seed: int) -> None:
    """Whatever was edited: applied to the old memory, the changes give the new one, key order aside."""
    dice = random.Random(seed)
    old = {"m": [states.value(dice, 2) for _ in range(dice.randrange(30))], "s": states.value(dice, 1)}
    new = copy.deepcopy(old)
    store = Store()
    with states.small_format():
        for _ in range(3):
            states.edit(dice, new)
            diff = store.compare(old, new)
            assert diff.complete
            assert applied(old, diff.changes, store.read) == new
            assert bool(diff.changes) == (dump(old) != dump(new))


@pytest.mark.parametrize("place", [0, 1, 700, 1_499])
def test_one_deleted_message_is_one_change(place: int) -> None:
    """However many follow it."""
    old = states.conversation(1_500)
    new = copy.deepcopy(old)
    del new["messages"][place]
    assert told(Store().compare(old, new)) == [("remove", ("messages", place))]


def test_only_what_differs_is_loaded() -> None:
    """Of a long memory a few nodes, in as many questions as the tree is deep."""
    old = states.conversation(4_000)
    new = copy.deepcopy(old)
    new["messages"][2_000]["content"] += " EDIT"
    store = Store()
    diff = store.compare(old, new)
    assert told(diff) == [("change", ("messages", 2_000, "content"))]
    assert store.asked <= 5
    assert diff.nodes <= 12


def test_a_moved_item_is_moved() -> None:
    """Gone here and come there is one change, with both places."""
    old = states.conversation(600)
    new = copy.deepcopy(old)
    new["messages"].insert(500, new["messages"].pop(20))
    (change,) = Store().compare(old, new).changes
    assert (change.op, change.path, change.was) == ("move", ("messages", 500), ("messages", 20))


def test_a_message_with_the_same_id_is_the_same_message() -> None:
    """What it says changed, not what it is."""
    old = {"messages": [{"id": n, "text": f"about {n}"} for n in range(5)]}
    new = copy.deepcopy(old)
    new["messages"][3]["text"] = "something else altogether"
    new["messages"].insert(0, {"id": 99, "text": "new"})
    changes = Store().compare(old, new).changes
    assert [(c.op, c.path, c.was) for c in changes] == [
        ("add", ("messages", 0), None),
        ("change", ("messages", 4, "text"), ("messages", 3, "text")),
    ]


def test_another_kind_of_value_is_a_change_of_the_whole() -> None:
    """A list that became an object, a number that became a text."""
    changes = Store().compare({"a": [1, 2], "b": 1}, {"a": {"x": 1}, "b": "1"})
    assert told(changes) == [("change", ("a",)), ("change", ("b",))]


def test_a_memory_that_is_new_or_gone_is_one_change() -> None:
    """No memory before, or none any more."""
    store = Store()
    tree = store.put({"a": 1})
    assert told(memory.compare(None, tree.root, store.fetch)) == [("add", ())]
    assert told(memory.compare(tree.root, None, store.fetch)) == [("remove", ())]
    assert memory.compare(tree.root, tree.root, store.fetch).changes == []


def test_two_memories_with_nothing_in_common_are_bounded() -> None:
    """What would take too much to load is said to be incomplete, not loaded."""
    store = Store()
    old, new = store.put(states.conversation(800, 1)), store.put(states.conversation(800, 2))
    diff = memory.compare(old.root, new.root, store.fetch, most=50_000)
    assert not diff.complete


def test_what_is_folded_opens_to_the_same_changes() -> None:
    """After so many small containers the rest is one change each, in its place, with the same inside."""
    store = Store()
    old = {"told": states.conversation(400, 3), "rates": {f"r{n}": {"eur": n, "usd": n} for n in range(50)}}
    new = copy.deepcopy(old)
    for message in new["told"]["messages"][::2]:
        message["content"] += " and so on"
        message["seen"] = True
    for rate in new["rates"].values():
        rate["usd"] += 1
    before = store.put(old)
    roots = before.root, store.put(new, before).root
    whole = memory.compare(*roots, store.fetch)
    folded = memory.compare(*roots, store.fetch, detail=20)
    assert whole.complete and folded.complete
    assert len(folded.changes) < len(whole.changes) / 1.5
    assert [inner for change in folded.changes for inner in memory.opened(change)] == whole.changes
    assert not any(map(memory.is_folded, whole.changes))


def test_a_cap_on_changes_is_said() -> None:
    """More changes than are told: those that are, and that there are more."""
    store = Store()
    old, new = store.put([*range(100)]), store.put([-n for n in range(1, 101)])
    diff = memory.compare(old.root, new.root, store.fetch, changes=30)
    assert len(diff.changes) == 30 and not diff.complete


@pytest.mark.parametrize("count", [1, 3_000])
def test_a_list_of_the_same_value_is_compared_in_time(count: int) -> None:
    """Repetition, the worst of all input for an aligner, gives the right number of changes."""
    old = {"a": [0] * count}
    assert told(Store().compare(old, {"a": [0] * (count + 1)})) == [("add", ("a", count))]
