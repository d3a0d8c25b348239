"""The tree of a memory: one text, one tree, however it was reached; and a step costs what changed."""

from __future__ import annotations

import copy
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sdk.tests.tree import states
from sickbay.tree import read
from sickbay.tree.grow import TooLarge, Tree, grow
from sickbay.tree.node import PLAIN_LIMIT, name_of
from sickbay.tree.text import dump, load


class Shelf(dict[bytes, bytes]):
    """All nodes that were ever new."""

    def keep(self, tree: Tree) -> Tree:
        for new in tree.new:
            assert name_of(new.plain) == new.name
            self[new.name] = new.plain
        return tree

    def fetch(self, names: list[bytes]) -> dict[bytes, bytes]:
        return {name: self[name] for name in names if name in self}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
@example(763)  # a leaf that a big value closed, of runs that became fewer
def test_grown_is_fresh(seed: int) -> None:
    """Whatever came before, a text has the tree of a fresh start, and reads back byte by byte."""
    dice = random.Random(seed)
    state = {"m": [states.value(dice, 2) for _ in range(dice.randrange(40))], "s": states.value(dice, 1)}
    shelf, tree = Shelf(), None
    with states.small_format():
        for _ in range(8):
            text = dump(state)
            before, tree = tree, shelf.keep(grow(text, tree))
            fresh = grow(text)
            assert (tree.root, tree.names) == (fresh.root, fresh.names)
            assert read.text_of(tree.root, shelf.fetch) == text
            assert tree.names == set(read.below(tree.root, shelf.fetch))
            assert all(not new.base or (before and new.base in before.names) for new in tree.new)
            states.edit(dice, state)


@pytest.mark.parametrize("place", [0, 5, 6, 11, 70, 71, 101])
@pytest.mark.parametrize("change", ["gone", "small", "more", "added"])
def test_runs_between_big_values(place: int, change: str) -> None:
    """More small messages between large tool results than stay in place: any change is a fresh start."""
    state: list[object] = []
    for n in range(60):
        state += [f"{n} " + "word " * 400, {"tool": n, "answer": "x" * 13_000}]
    before = grow(dump(state))
    if change == "gone":
        del state[place]
    elif change == "small":
        state[place] = "short"
    elif change == "more":
        state.insert(place, "another " * 300)
    else:
        state.insert(place, {"tool": -1, "answer": "y" * 13_000})
    after = grow(dump(state), before)
    assert after.root == grow(dump(state)).root
    state += ["the end", {"tool": 60, "answer": "x" * 13_000}, "and on"]
    assert grow(dump(state), after).root == grow(dump(state)).root


@pytest.mark.parametrize("state", [None, 7, "word", [], {}, [[]], {"": {}}, [1], {"a": "x" * 300_000}])
def test_any_json_is_a_memory(state: object) -> None:
    """Numbers, words, empty boxes and huge strings read back as they were."""
    shelf = Shelf()
    tree = shelf.keep(grow(dump(state)))
    assert load(read.text_of(tree.root, shelf.fetch)) == state


def test_an_ordinary_step_is_one_node() -> None:
    """Two more messages in a conversation cost one new node, seldom two more."""
    state, counts = states.conversation(0), []
    tree = grow(dump(state))
    for message in states.conversation(400)["messages"]:
        state["messages"].append(message)
        tree = grow(dump(state), tree)
        counts.append(len(tree.new))
    assert sorted(counts)[len(counts) * 8 // 10] == 1
    assert max(counts) <= 4


def test_a_deletion_in_the_middle_disturbs_little() -> None:
    """One message gone from the middle of many leaves nearly all nodes as they are."""
    state = states.conversation(1_500)
    tree = grow(dump(state))
    assert len(tree.names) > 40
    del state["messages"][700]
    assert len(grow(dump(state), tree).new) <= 5


def test_a_changed_counter_before_the_messages_moves_no_leaf() -> None:
    """A key in front of a long list changes the root alone."""
    state = {"step": 1, **states.conversation(800)}
    tree = grow(dump(state))
    state["step"] = 2
    assert len(grow(dump(state), tree).new) == 1


def test_the_same_text_costs_nothing() -> None:
    """Nothing changed: no new node."""
    tree = grow(dump(states.conversation(300)))
    assert grow(tree.text, tree).new == []


def test_a_changed_object_keeps_its_cut() -> None:
    """In an object that is cut, a value of the same size that changes moves no boundary."""
    state = {"files": {f"path/{n:04}": "x" * 40 for n in range(2_000)}}
    tree = grow(dump(state))
    changed = copy.deepcopy(state)
    changed["files"]["path/1000"] = "y" * 40
    assert 1 <= len(grow(dump(changed), tree).new) <= 4


def test_a_value_larger_than_a_node_is_refused() -> None:
    """A number of more digits than a node may have bytes is refused in words."""
    deep: object = "x" * 90_000
    for _ in range(40):
        deep = [deep]
    text = dump([deep] * 100)
    assert grow(text).root  # many of them are fine
    inner = b"[" * 33 + b'"' + b"x" * PLAIN_LIMIT + b'"' + b"]" * 33
    with pytest.raises(TooLarge, match="bytes"):
        grow(inner)
