"""From the text of a memory to its tree, and from the tree before to the next one.

The next text is compared with the last one byte by byte; pieces that lie in the equal head are taken over as
they are, and only what comes after is split into items. So a step costs what changed, and the result is the
tree that a fresh start would make.

    path      the containers that the first changed byte lies in, outermost first
    opener    the brackets and keys that make the changed rest a text of its own, so that it can be split
    parts     the pieces of one container with their places, before they are grouped (parts.py)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from sickbay.tree import cut, files
from sickbay.tree.node import (
    BLOB,
    INLINE,
    LIST_LEAF,
    NODE,
    PLAIN_LIMIT,
    RUN,
    SUB,
    Piece,
    container,
    items_in,
    name_of,
    text_length,
)
from sickbay.tree.parts import Cutting, Item, Kept, Leaves, Old, Part, is_whole
from sickbay.tree.text import split_list, split_object


class TooLarge(ValueError):
    """One value is larger than a node may be."""


class New(NamedTuple):
    """A node that the tree before did not have; `base` names one whose bytes are like it, or is empty."""

    name: bytes
    plain: bytes
    items: int
    length: int
    base: bytes


@dataclass(slots=True)
class Tree:
    """A tree: its root's name, its text, the nodes that are new, the names of all."""

    root: bytes
    text: bytes = field(repr=False)
    new: list[New] = field(repr=False)
    kept: Kept | None = field(repr=False)
    names: frozenset[bytes] = field(repr=False)


def grow(text: bytes, before: Tree | None = None) -> Tree:
    """The tree of a canonical text; `before` makes it cheap, and changes nothing else."""
    if before is not None and text == before.text:
        return Tree(before.root, before.text, [], before.kept, before.names)
    return _Growth(text, before).tree()


def common(one: bytes, other: bytes, step: int = 1 << 16) -> int:
    """How many bytes at the start are equal."""
    end, at = min(len(one), len(other)), 0
    while at + step <= end and one[at : at + step] == other[at : at + step]:
        at += step
    low, high = at, min(at + step, end)
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


class _Level(NamedTuple):
    """A container on the path: where it starts, how many of its parts stay, whether the next is inside."""

    kept: Kept
    start: int
    stays: int
    descends: bool


class _Path:
    """The containers that hold the first changed byte of a text, and the rest as a text of its own."""

    def __init__(self, old: Old, text: bytes) -> None:
        self.text, self.old = text, old.text
        self.levels = list(_levels(old.kept, text, common(old.text, text)))
        deepest = self.levels[-1]
        self._start = _resumes(deepest, text)
        self.rest = self.opener(0) + text[self._start :]

    @property
    def is_useless(self) -> bool:
        return len(self.levels) == 1 and not self.levels[0].stays

    def opener(self, place: int) -> bytes:
        out = b""
        for level in self.levels[place:]:
            out += level.kept.kind
            if level.descends and (key := level.kept.parts[level.stays].piece.key):
                out += key + b":"
        return out

    def length_of(self, place: int, value: bytes) -> int:
        """Bytes of a level's whole text, of which `value` is the opener's part and the rest."""
        return self._start - self.levels[place].start + len(value) - len(self.opener(place))


class _Growth:
    """One text on its way to a tree."""

    def __init__(self, text: bytes, before: Tree | None) -> None:
        self._text, self._before = text, before
        self._new: dict[bytes, New] = {}
        self._had = before.names if before is not None else frozenset[bytes]()
        self._base = before.root if before is not None else b""
        self._in_place = 0

    def tree(self) -> Tree:
        text, before = self._text, self._before
        if text[:1] not in (b"[", b"{"):  # a memory that is one number, string or word
            root = self._emit(LIST_LEAF + text, 1, len(text), b"")
            return Tree(root, text, list(self._new.values()), None, frozenset((root,)))
        old = Old(before.kept, before.text) if before is not None and before.kept is not None else None
        kept = self._value(text, old, 0)
        root = self._emit(kept.plain, items_in([part.piece for part in kept.parts]), len(text), self._base)
        names = kept.names | {root}
        # A resume that was given up may have made nodes that the tree does not have.
        return Tree(root, text, [new for new in self._new.values() if new.name in names], kept, names)

    def _value(self, text: bytes, old: Old | None, depth: int) -> Kept:
        """The container of this text, with what can be taken over from the old one."""
        if old is not None and old.kept.kind != text[:1]:
            old = None
        if old is not None and not (path := _Path(old, text)).is_useless:
            kept = self._resumed(path, 0, path.rest, depth)
            if kept is not None:
                return kept
        return self._fresh(text, old, depth)

    def _resumed(self, path: _Path, place: int, rest: bytes, depth: int) -> Kept | None:
        """The container at this place of the path; None when its old cut does not hold any more."""
        kept, start, stays, descends = path.levels[place]
        items, parts = _split(rest), kept.parts[:stays]
        if depth == 0:
            self._in_place = sum(len(part.piece.text) for part in parts if part.piece.tag == INLINE)
        if descends:
            key, value = items.pop(0)
            child = self._resumed(path, place + 1, value, depth + 1)
            length = path.length_of(place + 1, value)
            if child is None or length < cut.TARGET:
                return None
            parts.append(self._child(child, key, length, parts[-1].end + 1 if parts else 1, depth))
        if is_whole(kept.kind, parts, items, depth) != kept.whole:
            return None
        cutting = Cutting(kept.kind, depth, kept.whole, path.text, start, parts, self._leaf_of(kept.stored))
        leaves = Leaves(Old(kept, path.old, start), stays)
        return self._closed(kept.kind, self._all(cutting, items, leaves, depth), kept.whole, kept.stored)

    def _fresh(self, text: bytes, old: Old | None, depth: int) -> Kept:
        kind, items = text[:1], _split(text)
        whole = is_whole(kind, [], items, depth)
        if depth == 0:
            self._in_place = 0
        stored = old.kept.stored if old is not None else b""
        cutting = Cutting(kind, depth, whole, text, 0, [], self._leaf_of(stored))
        return self._closed(kind, self._all(cutting, items, Leaves(old), depth), whole, stored)

    def _all(self, cutting: Cutting, items: list[Item], leaves: Leaves, depth: int) -> list[Part]:
        return cutting.take(items, leaves, lambda item, at, leaves: self._big(item, at, leaves, depth))

    def _big(self, item: Item, at: int, leaves: Leaves, depth: int) -> Part:
        key, value = item
        if value[:1] == b'"':
            below: set[bytes] = set()
            piece = Piece(BLOB, 1, len(value), self._blob(value, below), key)
            return Part(piece, at, at + piece.spans, None, frozenset(below))
        child = self._value(value, leaves.child(key), depth + 1)
        return self._child(child, key, len(value), at, depth)

    def _child(self, child: Kept, key: bytes, length: int, at: int, depth: int) -> Part:
        """A container in its parent: in place when it stands in the root and is small enough."""
        small = len(child.plain) <= cut.IN_PLACE and self._in_place + len(child.plain) <= cut.ALL_IN_PLACE
        if depth == 0 and small:
            self._in_place += len(child.plain)
            piece = Piece(INLINE, 1, length, key=key, text=child.plain)
            child.stored = b""
        else:
            items = items_in([part.piece for part in child.parts])
            child.stored = self._emit(child.plain, items, length, child.stored or self._base)
            piece = Piece(SUB, 1, length, child.stored, key)
        return Part(piece, at, at + piece.spans, child, child.names)

    def _blob(self, value: bytes, below: set[bytes]) -> bytes:
        def emit(plain: bytes, items: int, length: int) -> bytes:
            below.add(name := self._emit(plain, items, length, b""))
            return name

        return files.grown(value, emit, always_cut=True)

    def _closed(self, kind: bytes, parts: list[Part], whole: bool, stored: bytes) -> Kept:
        """Its bytes: the pieces, grouped until they are few."""
        pieces = [part.piece for part in parts]
        names = {piece.name for piece in pieces if piece.name}.union(*(p.below for p in parts if p.below))
        while sum(cut.weighed(piece)[0] for piece in pieces) > cut.GROUPED:
            grouped = self._grouped(kind, pieces, stored)
            if len(grouped) >= len(pieces):
                break
            pieces = grouped
            names.update(piece.name for piece in pieces if piece.tag == NODE)
        return Kept(kind, parts, whole, stored, container(b"C" + kind, pieces), frozenset(names))

    def _grouped(self, kind: bytes, pieces: list[Piece], stored: bytes) -> list[Piece]:
        out, start = [], 0
        for end in cut.group_ends(map(cut.weighed, pieces)):
            group, start = pieces[start:end], end
            items, length = items_in(group), text_length(group)
            name = self._emit(container(b"N" + kind, group), items, length, stored or self._base)
            out.append(Piece(NODE, items, length, name))
        return out + pieces[start:]

    def _leaf_of(self, stored: bytes) -> Callable[[bytes, int, int], bytes]:
        """Emits sealed runs, whose text the node that held their container still has."""
        base = stored or self._base
        return lambda plain, items, length: self._emit(plain, items, length, base)

    def _emit(self, plain: bytes, items: int, length: int, base: bytes) -> bytes:
        if len(plain) > PLAIN_LIMIT:
            raise TooLarge(f"one value of the memory has {len(plain):,} bytes; {PLAIN_LIMIT:,} are the most")
        name = name_of(plain)
        if name not in self._had and name not in self._new:
            self._new[name] = New(name, plain, items, length, base if base in self._had else b"")
        return name


def _split(text: bytes) -> list[Item]:
    """(key, value) of each item; the keys of a list are empty."""
    if text[:1] == b"{":
        return split_object(text)
    return [(b"", item) for item in split_list(text)]


def _levels(kept: Kept, text: bytes, equal: int) -> Iterator[_Level]:
    """As far as the heads are equal, from the outermost container inwards."""
    start = 0
    while True:
        stays = _stays(kept, text, start, equal)
        place = _descends(kept, start, stays, equal)
        if place is None:
            yield _Level(kept, start, stays, False)
            return
        yield _Level(kept, start, place, True)
        part = kept.parts[place]
        assert part.inside is not None
        kept, start = part.inside, start + part.end - part.piece.length


def _stays(kept: Kept, text: bytes, start: int, equal: int) -> int:
    """How many parts lie in the equal head. A run stays only with the big value that closed it."""
    stays = 0
    for place, part in enumerate(kept.parts):
        end = start + part.end
        if end > equal or text[end : end + 1] not in (b",", b"]", b"}"):
            break
        if part.piece.tag != RUN and not part.closed:
            stays = place + 1
    return stays


def _descends(kept: Kept, start: int, stays: int, equal: int) -> int | None:
    """The changed container behind the parts that stay, and behind a run that it closed."""
    for place in range(stays, min(stays + 2, len(kept.parts))):
        part = kept.parts[place]
        if part.inside is not None and start + part.end - part.piece.length < equal:
            return place
        if not part.closed:
            break
    return None


def _resumes(level: _Level, text: bytes) -> int:
    """Where the first item stands that does not stay."""
    if not level.stays:
        return level.start + 1
    end = level.start + level.kept.parts[level.stays - 1].end
    return end + 1 if text[end : end + 1] == b"," else end
