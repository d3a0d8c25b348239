"""Nodes that are right by themselves and not together are refused, before anybody reads a value of them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sickbay.tree
from sdk.tests.tree import states, vectors
from sdk.tests.tree.test_grow import Shelf
from sickbay.tree.grow import grow
from sickbay.tree.node import LEAF, BadNode, Piece, container, items_in, name_of, pieces_of
from sickbay.tree.prove import proven_text
from sickbay.tree.text import dump

KEPT: dict[str, Any] = json.loads((Path(sickbay.tree.__file__).parent / "vectors/refused.json").read_text())


@pytest.mark.parametrize("name", KEPT)
def test_parts_that_are_not_right_together_are_refused(name: str) -> None:
    """A key in two leaves, a huge string that is none: every vector."""
    shelf = Shelf()
    for one in KEPT[name]["nodes"]:
        plain = bytes.fromhex(one["plain"])
        shelf[name_of(plain)] = plain
    with pytest.raises(BadNode, match=r"not canonical JSON|not those that its text makes"):
        proven_text(bytes.fromhex(KEPT[name]["root"]), shelf.fetch)


def test_the_vectors_are_what_they_are_called() -> None:
    """They are made again from their names."""
    made = {name: [plain.hex() for plain, *_ in tree.nodes] for name, tree in vectors.refused().items()}
    assert made == {name: [one["plain"] for one in kept["nodes"]] for name, kept in KEPT.items()}


def test_a_tree_that_its_text_does_not_make_is_refused() -> None:
    """It could never be proven by taking the state again."""
    one = vectors.Hostile()
    one.root(one.leaf(b'"a":1'), one.leaf(b'"b":2'))
    nodes = {name_of(plain): plain for plain, *_ in one.nodes}
    with pytest.raises(BadNode, match="not those that its text makes"):
        proven_text(name_of(one.nodes[-1][0]), lambda names: {name: nodes[name] for name in names})


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_of_any_memory_only_its_own_tree_is_taken(seed: int) -> None:
    """Its text comes back; and is refused when two of its leaves are made one, or one stands twice."""
    dice, shelf = random.Random(seed), Shelf()
    with states.small_format():
        text = dump({f"k{n}": states.value(dice, 3) for n in range(dice.randrange(5, 60))})
        tree = shelf.keep(grow(text))
        assert proven_text(tree.root, shelf.fetch) == text
        pieces = pieces_of(shelf[tree.root])
        places = [place for place, piece in enumerate(pieces) if piece.tag == LEAF]
        if places:
            forged = _with(pieces, dice.choice(places), dice)
            shelf[name_of(forged)] = forged
            with pytest.raises(BadNode):
                proven_text(name_of(forged), shelf.fetch)


def _with(pieces: list[Piece], place: int, dice: random.Random) -> bytes:
    """One leaf again, somewhere."""
    again = [*pieces]
    again.insert(dice.randrange(len(pieces) + 1), pieces[place])
    assert items_in(again) > items_in(pieces)
    return container(b"C{", again)
