"""What no node shows by itself: that an object has each key once, and that a huge string's text is a string.

An object's items may lie in several leaves, and a huge string in parts that are cut anywhere: each of them is
spelled right, and the whole may still be no JSON that two readers understand alike. `Wholes` puts together
as much as is needed, and only what the container before (its delta's base) does not prove already.

Keys are compared by their hashes, which nobody outside of this process can foresee.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from sickbay.tree import node
from sickbay.tree.node import BadNode, Piece, pieces_of
from sickbay.tree.read import MOST_TEXT, data_of
from sickbay.tree.text import is_canonical, split_object

Fetch = Callable[[list[bytes]], Mapping[bytes, bytes]]
CONTAINERS = (node.LIST, node.OBJECT, node.LIST_INDEX, node.OBJECT_INDEX)
TWICE = "an object has one key twice: its parts were not made of one memory"
NO_STRING = "the parts of a huge string are no canonical JSON string"


class Keys(NamedTuple):
    """Keys that stand in a node itself, and the nodes below that have more of them."""

    own: array[int]
    below: tuple[bytes, ...] = ()
    length: int = 0  # bytes of text below


class Parts(NamedTuple):
    """What must be right together in a container, and in those that stand in place in it."""

    objects: list[Keys]
    strings: dict[bytes, int]  # by name, the bytes of text


class Wholes:
    """Judges containers; loads at most `most` bytes of text for it, larger ones are left to who has time."""

    def __init__(self, fetch: Fetch, most: int | None = None) -> None:
        self._fetch, self._left = fetch, most
        self._known: dict[bytes, Keys] = {}
        self._proven: set[bytes] = set()

    def know(self, name: bytes, plain: bytes) -> None:
        """Keep what a leaf or an index says of its object's keys."""
        if plain[:2] == node.OBJECT_LEAF:
            self._known[name] = Keys(_hashes(_keys_of(plain[2:])))
        elif plain[:2] == node.OBJECT_INDEX:
            self._known[name] = _keys_in(pieces_of(plain))

    def judge(self, parts: Parts, before: Parts) -> None:
        """BadNode when parts, each right, are not right together; what was so before is not looked at."""
        for keys in parts.objects:
            seen = _added(set(), keys.own)
            if keys.below and not any(_is_within(keys, old) for old in before.objects):
                self._distinct(keys, seen)
        for name, length in parts.strings.items():
            if name not in before.strings:
                self._string(name, length)

    def _distinct(self, keys: Keys, seen: set[int]) -> None:
        if not self._may_load(keys.length):
            return
        names, visited = keys.below, set[bytes]()
        while names:
            met = len(visited)
            visited.update(names)
            if len(visited) != met + len(names):  # each has at least one key
                raise BadNode(TWICE)
            absent = [name for name in names if name not in self._known]
            for name, plain in (self._fetch(absent) if absent else {}).items():
                self.know(name, plain)
            level = [self._known[name] for name in names if name in self._known]
            for one in level:
                _added(seen, one.own)
            names = tuple(name for one in level for name in one.below)

    def _string(self, name: bytes, length: int) -> None:
        if length > MOST_TEXT:
            raise BadNode(f"a string of {length:,} bytes; at most {MOST_TEXT:,} are read")
        if name in self._proven or not self._may_load(length):
            return
        text = data_of(name, self._fetch, length)
        if text[:1] != b'"' or not is_canonical(text):
            raise BadNode(NO_STRING)
        self._proven.add(name)

    def _may_load(self, size: int) -> bool:
        if self._left is None:
            return True
        self._left -= size
        return self._left >= 0


def parts_of(plain: bytes | None) -> Parts:
    """Of a container or an index; of anything else, none."""
    if plain is None or plain[:2] not in CONTAINERS:
        return Parts([], {})
    found = list(_containers(plain))
    strings = {piece.name: piece.length for _, pieces in found for piece in pieces if piece.tag == node.BLOB}
    return Parts([_keys_in(pieces) for kind, pieces in found if kind == node.OBJECT], strings)


def _containers(plain: bytes) -> Iterator[tuple[bytes, list[Piece]]]:
    pieces = pieces_of(plain)
    yield plain[:2], pieces
    for piece in pieces:
        if piece.tag == node.INLINE:
            yield from _containers(piece.text)


def _keys_in(pieces: list[Piece]) -> Keys:
    own = [piece.key for piece in pieces if piece.key]
    for piece in pieces:
        if piece.tag == node.RUN:
            own += _keys_of(piece.text)
    below = [piece for piece in pieces if piece.tag in (node.LEAF, node.NODE)]
    return Keys(_hashes(own), tuple(piece.name for piece in below), sum(piece.length for piece in below))


def _keys_of(items: bytes) -> list[bytes]:
    return [key for key, _ in split_object(b"{%b}" % items)]


def _hashes(keys: list[bytes]) -> array[int]:
    return array("q", map(hash, keys))


def _added(seen: set[int], own: array[int]) -> set[int]:
    before = len(seen)
    seen.update(own)
    if len(seen) != before + len(own):
        raise BadNode(TWICE)
    return seen


def _is_within(keys: Keys, old: Keys) -> bool:
    """Whether a container whose keys are distinct has all of these; the same part twice is never within."""
    below = set(keys.below)
    return len(below) == len(keys.below) and below <= set(old.below) and set(keys.own) <= set(old.own)
