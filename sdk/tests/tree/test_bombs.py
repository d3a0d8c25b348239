"""A few nodes that stand for gigabytes are refused by arithmetic, before they are put together or read."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from sickbay.tree import read
from sickbay.tree.node import BLOB, LEAF, NODE, RUN, SUB, BadNode, Piece, container, file_node, name_of
from sickbay.tree.prove import proven_text
from sickbay.tree.read import data_of, length_of, text_of

TAGS = {b"C[": SUB, b"N[": NODE}


class Bomb:
    """Nodes that somebody made; `asked` counts what of them was read."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, bytes] = {}
        self.asked = 0

    def fetch(self, names: list[bytes]) -> Mapping[bytes, bytes]:
        self.asked += len(names)
        return {name: self.nodes[name] for name in names if name in self.nodes}

    def put(self, plain: bytes) -> bytes:
        name = name_of(plain)
        self.nodes[name] = plain
        return name

    def lists(self, levels: int, width: int, leaf: bytes = b"1") -> bytes:
        """Lists whose every item is the list below."""
        below = self.put(container(b"C[", [Piece(RUN, 1, len(leaf), text=leaf)]))
        for _ in range(levels):
            piece = Piece(SUB, 1, length_of(self.nodes[below]), below)
            below = self.put(container(b"C[", [piece] * width))
        return below

    def groups(self, levels: int, width: int) -> bytes:
        """One list; its groups stand in each other."""
        name, items, length = self.put(b"T[" + b"1"), 1, 1
        tag = LEAF
        for _ in range(levels):
            made = container(b"N[", [Piece(tag, items, length, name)] * width)
            name, items, length, tag = self.put(made), items * width, length_of(made), NODE
        return self.put(container(b"C[", [Piece(tag, items, length, name)]))

    def string(self, levels: int, width: int, said: int | None = None) -> bytes:
        """A list with one string, whose parts stand in each other; `said`: what the list says of it."""
        name, length = self.put(b"B " + b"x" * 1_000), 1_000
        for _ in range(levels):
            made = file_node([(length, name)] * width)
            name, length = self.put(made), length * width
        return self.put(container(b"C[", [Piece(BLOB, 1, said or length, name)]))


BOMBS: dict[str, Callable[[Bomb], bytes]] = {
    "two to the forty lists": lambda bomb: bomb.lists(40, 2),
    "a few wide lists": lambda bomb: bomb.lists(4, 3_000),
    "groups": lambda bomb: bomb.groups(10, 30),
    "a string": lambda bomb: bomb.string(6, 100),
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_stands_for_gigabytes_is_refused_by_its_root(name: str) -> None:
    """The root says how much it is: nothing below it is even asked for."""
    bomb = Bomb()
    root = BOMBS[name](bomb)
    with pytest.raises(BadNode, match="stands for"):
        proven_text(root, bomb.fetch)
    assert bomb.asked == 1


def test_what_says_less_than_it_is_is_refused_before_it_is_put_together() -> None:
    """The lie is found where the node that it is told of is read; none of its text is made."""
    bomb = Bomb()
    inner = bomb.lists(40, 2)
    root = bomb.put(container(b"C[", [Piece(SUB, 1, 90, inner)]))
    with pytest.raises(BadNode, match="a piece says 90 bytes"):
        proven_text(root, bomb.fetch)
    assert bomb.asked == 2
    with pytest.raises(BadNode, match="a piece says 2,000 bytes"):
        text_of(bomb.string(6, 100, said=2_000), bomb.fetch)
    with pytest.raises(BadNode, match="should have 8 bytes"):
        data_of(bomb.put(file_node([(4, bomb.put(b"B abcd"))])), bomb.fetch, 8)


def test_tiny_pieces_without_end_are_refused() -> None:
    """Within the bytes that are allowed, and yet more pieces than any honest text of that size has."""
    bomb = Bomb()
    root = bomb.lists(22, 2)
    assert length_of(bomb.nodes[root]) < read.MOST_TEXT
    with pytest.raises(BadNode, match="too many pieces"):
        text_of(root, bomb.fetch)
    assert bomb.asked == 23


def test_nodes_that_are_far_more_than_their_text_are_refused() -> None:
    """A chain of large nodes around nothing, and one without end."""
    bomb = Bomb()
    empty, name = bomb.put(b"B "), bomb.put(b"B " + b"x")
    for _ in range(40):
        name = bomb.put(file_node([*[(0, empty)] * 5_000, (1, name)]))
    with pytest.raises(BadNode, match="far more than"):
        data_of(name, bomb.fetch)
    name = bomb.put(b"B x")
    for _ in range(2_000):
        name = bomb.put(file_node([(1, name)]))
    with pytest.raises(BadNode, match="deep in each other"):
        data_of(name, bomb.fetch)


def test_lists_nested_too_deep_by_their_nodes_are_refused_in_words() -> None:
    """Each node is spelled right; the text of all of them no program reads."""
    bomb = Bomb()
    with pytest.raises(BadNode, match="nested more than 200 deep"):
        proven_text(bomb.lists(250, 1), bomb.fetch)


def test_a_bomb_costs_no_memory() -> None:
    """A process that may have 300 MB refuses all of them."""
    done = subprocess.run([sys.executable, __file__], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["refused"] * len(BOMBS)), done.stderr


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[3]))
    resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))
    for make in BOMBS.values():
        bomb = Bomb()
        try:
            proven_text(make(bomb), bomb.fetch)
        except BadNode:
            print("refused")
