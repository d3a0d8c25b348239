"""The parts of one container: items go in, in order; runs, leaves and big values come out.

Behind a change the cut falls into step with the old leaves again: at each boundary the old leaves that are
next are compared with the text that stands there (a memcmp), and one that fits is taken over whole. A leaf's
end depends on its own items alone, so the result is the same as without. Only a leaf that a big value closed
does not end by itself: it depends on the runs before and on that value, and is cut anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from sickbay.tree import cut
from sickbay.tree.node import LEAF, RUN, Piece

WINDOW = 32  # leaves ahead that are looked at
Item = tuple[bytes, bytes]  # key (empty in a list) and value, as text


class Part(NamedTuple):
    """A piece, the place of its text in its container's text, the container it stands for, names below it.

    `closed`: a run that the big value behind it closed, whether it stayed in place or became a leaf.
    """

    piece: Piece
    start: int
    end: int
    inside: Kept | None = None
    below: frozenset[bytes] = frozenset()
    closed: bool = False


@dataclass(slots=True)
class Kept:
    """A container of the last tree. `stored` names the node that holds its bytes; empty: the root.

    `whole`: an object whose own small values are so few bytes that they are not cut at all.
    """

    kind: bytes
    parts: list[Part]
    whole: bool
    stored: bytes
    plain: bytes
    names: frozenset[bytes]


class Old(NamedTuple):
    """A container of the tree before, and where its text stands in a text."""

    kept: Kept
    text: bytes
    base: int = 0


class Leaves:
    """The old leaves that may come next, and the old containers by key."""

    def __init__(self, old: Old | None, stays: int = 0) -> None:
        parts = old.kept.parts if old is not None else []
        self._text, self._base = (old.text, old.base) if old is not None else (b"", 0)
        self._parts = [part for part in parts[stays:] if part.piece.tag == LEAF and not part.closed]
        self._inside = {part.piece.key: part for part in parts if part.inside is not None}
        self._next = 0

    def at(self, text: bytes, at: int) -> Piece | None:
        """The old leaf whose whole text stands here."""
        for place in range(self._next, min(self._next + WINDOW, len(self._parts))):
            piece, start, end, *_ = self._parts[place]
            after = text[at + piece.length : at + piece.length + 1]
            body = self._text[self._base + start : self._base + end]
            if after in (b",", b"]", b"}") and text.startswith(body, at):
                self._next = place + 1
                return piece
        return None

    def child(self, key: bytes) -> Old | None:
        """The container that stood under this key."""
        part = self._inside.get(key) if key else None
        if part is None or part.inside is None:
            return None
        end = self._base + part.end
        return Old(part.inside, self._text[end - part.piece.length : end])


class Cutting:
    """One container being cut. `text` holds its text from `base` on; `parts` stand already."""

    def __init__(
        self,
        kind: bytes,
        depth: int,
        whole: bool,
        text: bytes,
        base: int,
        parts: list[Part],
        emit: Callable[[bytes, int, int], bytes],
    ) -> None:
        self.parts = parts
        self._kind, self._depth, self._whole = kind, depth, whole
        self._text, self._base, self._emit = text, base, emit
        self._at = self._start = parts[-1].end + 1 if parts else 1
        self._runs = sum(part.piece.length for part in parts if part.closed)
        self._count = self._size = 0

    def take(self, items: list[Item], leaves: Leaves, big: Callable[[Item, int, Leaves], Part]) -> list[Part]:
        """All items; `big` makes the part of a big value that stands at a place."""
        place = 0
        while place < len(items):
            skipped = 0 if self._count or self._whole else self._leaf(leaves)
            if skipped:
                place += skipped
                continue
            item = items[place]
            place += 1
            if cut.is_big(item[1], self._depth):
                self._before_big()
                part = big(item, self._at, leaves)
                self.parts.append(part)
                self._boundary(part.end + 1)
            else:
                self._small(item)
        if self._count:
            self._close(sealed=False)
        return self.parts

    def _leaf(self, leaves: Leaves) -> int:
        """How many items are an old leaf that stands here."""
        piece = leaves.at(self._text, self._base + self._at)
        if piece is None:
            return 0
        self.parts.append(Part(piece, self._at, self._at + piece.length))
        self._boundary(self._at + piece.length + 1)
        return piece.items

    def _small(self, item: Item) -> None:
        key, value = item
        length = len(key) + 1 + len(value) if key else len(value)
        self._at += length + 1
        self._count += 1
        self._size += length + 1
        if not self._whole and cut.closes(self._size, key or value, length):
            self._close(sealed=True)

    def _before_big(self) -> None:
        """A big value closes the run before it, which stays in place while there are few of them."""
        if self._count:
            self._runs += self._at - 1 - self._start
            self._close(sealed=self._runs > cut.RUNS_IN_PLACE, closed=True)

    def _close(self, *, sealed: bool, closed: bool = False) -> None:
        start, end = self._start, self._at - 1
        body = self._text[self._base + start : self._base + end]
        if sealed:
            name = self._emit(b"T" + self._kind + body, self._count, len(body))
            piece = Piece(LEAF, self._count, len(body), name)
        else:
            piece = Piece(RUN, self._count, len(body), text=body)
        self.parts.append(Part(piece, start, end, closed=closed))
        self._boundary(self._at)

    def _boundary(self, at: int) -> None:
        self._at = self._start = at
        self._count = self._size = 0


def is_whole(kind: bytes, parts: list[Part], items: list[Item], depth: int) -> bool:
    """Whether these are an object whose own small values are too few bytes to be cut."""
    if kind == b"[":
        return False
    total = sum(part.piece.length + 1 for part in parts if part.piece.tag in (RUN, LEAF))
    for key, value in items:
        if not cut.is_big(value, depth):
            total += len(key) + len(value) + 2
    return total <= cut.TARGET
