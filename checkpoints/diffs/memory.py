"""What changed between two memories, from their trees: only what differs is loaded.

    container   pieces with the same name fall away; index nodes that both have stay closed, others are opened
    items       what is left is aligned by content, so a deleted message is one change, not all that follow
    moves       the same bytes gone here and come there
    pairs       what was replaced by something like it is looked into; the rest is removed and added
    folded      of thousands of small containers that changed only the first are looked into; each of the
                rest is one change, and `opened` tells what is in it when somebody wants to see it

Paths lead through the new memory, those of what is removed through the old one.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from checkpoints.diffs import aligning, pairing
from checkpoints.diffs.items import Item, Path, Placed, items_of, pieces, root_item
from checkpoints.diffs.items import kind as kind_of
from checkpoints.diffs.loading import Comparing, Nodes, Rounds, TooMuch
from sickbay.tree import node
from sickbay.tree.node import Piece, pieces_of
from sickbay.tree.read import Fetch
from sickbay.tree.text import load

MOST_BYTES = 64 * 1024 * 1024
MOST_CHANGES = 5_000
EVERY = 1 << 62


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `was` is the old path where it differs; `old` and `new` are items, loaded on demand."""

    op: Literal["add", "remove", "change", "move"]
    path: Path
    old: Item | None = None
    new: Item | None = None
    was: Path | None = None


class Sizes(NamedTuple):
    """How many values a container had and has that was looked into; `was` is its old path."""

    was: Path
    kind: bytes
    old: int
    new: int


@dataclass(slots=True)
class MemoryDiff:
    """`complete` False: there is more than is shown. `inside`: the items of lists that were looked into."""

    changes: list[Change] = field(default_factory=list)
    sizes: dict[Path, Sizes] = field(default_factory=dict)
    inside: dict[Path, Item] = field(default_factory=dict)
    complete: bool = True
    nodes: int = 0


def compare(
    old: bytes | None,
    new: bytes | None,
    fetch: Fetch,
    *,
    most: int = MOST_BYTES,
    changes: int = MOST_CHANGES,
    detail: int = EVERY,
) -> MemoryDiff:
    """The changes from one memory's tree to another's.

    Args:
        most: bytes of nodes that are loaded.
        changes: how many are told at most.
        detail: how many small containers are looked into before the rest is folded.
    """
    rounds = Rounds(fetch, most)
    return _run(rounds, [_Memories(rounds, old, new, changes, detail)])[0]


def opened(change: Change) -> list[Change]:
    """The changes inside of a folded one; itself when it is none. Nothing is loaded."""
    if not is_folded(change):
        return [change]
    rounds = Rounds(_nothing, 0)
    inner = _Memories(rounds, None, None)
    inner.look_into(change)
    return _run(rounds, [inner])[0].changes


def is_folded(change: Change) -> bool:
    """Whether two small containers of one kind changed, and were not looked into."""
    old, new = change.old, change.new
    if change.op != "change" or old is None or new is None:
        return False
    return _are_small(old, new) and old.text[:1] == new.text[:1]


def compare_all(
    pairs: Iterable[tuple[bytes | None, bytes | None]], fetch: Fetch, *, most: int = MOST_BYTES
) -> list[MemoryDiff]:
    """The same for many pairs with as few questions as for one; `most` is for all of them."""
    rounds = Rounds(fetch, most)
    return _run(rounds, [_Memories(rounds, *pair) for pair in pairs])


def _nothing(names: list[bytes]) -> dict[bytes, bytes]:
    return {}


def _run(rounds: Rounds, comparing: list[_Memories]) -> list[MemoryDiff]:
    try:
        rounds.run()
    except TooMuch:
        for one in comparing:
            one.diff.complete = one.done
    return [one.told() for one in comparing]


class _Memories:
    """One comparison. `order` is a change's place in the document, so that rounds may finish in any order."""

    def __init__(
        self,
        rounds: Rounds,
        old: bytes | None,
        new: bytes | None,
        most: int = MOST_CHANGES,
        detail: int = EVERY,
    ) -> None:
        self.rounds, self.diff = rounds, MemoryDiff()
        self._most, self._detail = most, detail
        self.found: list[tuple[tuple[int, ...], Change]] = []
        self.done = old == new
        if not self.done:
            rounds.add(self.roots(old, new))

    def look_into(self, change: Change) -> None:
        """One place that changed, by itself."""
        was = change.was if change.was is not None else change.path
        self._value(change.old, change.new, change.path, was, ())

    def told(self) -> MemoryDiff:
        """What was found, in the order of the document."""
        diff = self.diff
        diff.nodes = self.rounds.loaded
        diff.changes = [change for _, change in sorted(self.found, key=lambda found: found[0])]
        return diff

    def roots(self, old: bytes | None, new: bytes | None) -> Comparing:
        nodes = yield [name for name in (old, new) if name is not None]
        before = root_item(nodes[old]) if old is not None else None
        after = root_item(nodes[new]) if new is not None else None
        self._value(before, after, (), (), ())

    def _say(self, order: tuple[int, ...], change: Change) -> None:
        if self._is_full:
            self.diff.complete = False
        else:
            self.found.append((order, change))

    @property
    def _is_full(self) -> bool:
        return len(self.found) >= self._most

    def _value(
        self, old: Item | None, new: Item | None, path: Path, was: Path, order: tuple[int, ...]
    ) -> None:
        """A place whose value may have changed."""
        moved = was if was != path else None
        if old is None or new is None:
            op: Literal["add", "remove"] = "add" if old is None else "remove"
            self._say(order, Change(op, was if new is None else path, old, new))
        elif old.is_container and new.is_container and not self._folds(old, new):
            self.rounds.add(self._containers(old, new, path, was, order))
        else:
            self._say(order, Change("change", path, old, new, moved))

    def _folds(self, old: Item, new: Item) -> bool:
        if not _are_small(old, new):
            return False
        self._detail -= 1
        return self._detail < 0

    def _containers(self, old: Item, new: Item, path: Path, was: Path, order: tuple[int, ...]) -> Comparing:
        if self._is_full:
            self.diff.complete = False
            return
        named = [item.piece.name for item in (old, new) if item.piece is not None and item.piece.name]
        nodes = (yield named) if named else {}
        kind = kind_of(new, nodes)
        if kind_of(old, nodes) != kind:
            self._say(order, Change("change", path, old, new, was if was != path else None))
            return
        sides = [pieces(old, nodes), pieces(new, nodes)]
        while names := _closed_apart(*sides):
            nodes = yield names
            sides = [_opened(pieces, nodes) for pieces in sides]
        counts = [node.items_in(side) for side in sides]
        self.diff.sizes[path] = Sizes(was, kind, *counts)
        gaps = list(aligning.gaps(_marks(sides[0]), _marks(sides[1])))
        lost = [piece for gap in gaps for piece in sides[0][gap.old_start : gap.old_end]]
        come = [piece for gap in gaps for piece in sides[1][gap.new_start : gap.new_end]]
        nodes = {}
        while names := _unread([*lost, *come], nodes):
            nodes = {**nodes, **(yield names)}
        pairs = [
            (
                _items(sides[0], gap.old_start, gap.old_end, nodes, kind),
                _items(sides[1], gap.new_start, gap.new_end, nodes, kind),
            )
            for gap in gaps
        ]
        if kind == b"{":
            self._objects(pairs, path, was, order)
        else:
            self._lists(pairs, path, was, order)

    def _objects(
        self, pairs: list[tuple[_Stretch, _Stretch]], path: Path, was: Path, order: tuple[int, ...]
    ) -> None:
        """Keys are compared by name; the same keys in another order are moved."""
        olds = {placed.item.key: placed for old, _ in pairs for placed in old.placed()}
        news = {placed.item.key: placed for _, new in pairs for placed in new.placed()}
        for key, placed in olds.items():
            if key not in news:
                self._value(placed.item, None, path, (*was, load(key)), (*order, placed.place))
        both = [key for key in news if key in olds]
        in_order = set(_in_order([olds[key].place for key in both]))
        for key, placed in news.items():
            here, there, place = (*path, load(key)), (*was, load(key)), (*order, placed.place)
            before = olds.get(key)
            if before is None:
                self._value(None, placed.item, here, there, place)
            elif before.item.mark != placed.item.mark:
                self._value(before.item, placed.item, here, there, place)
            elif before.place not in in_order:
                self._say(place, Change("move", here, before.item, placed.item, there))

    def _lists(
        self, pairs: list[tuple[_Stretch, _Stretch]], path: Path, was: Path, order: tuple[int, ...]
    ) -> None:
        gaps: list[tuple[list[Placed], list[Placed]]] = []
        for before, after in pairs:
            marks = [[item.content for item in side.items] for side in (before, after)]
            for a, b, c, d in aligning.gaps(*marks):
                gaps.append((before.placed(a, b), after.placed(c, d)))
        moved = self._moves(gaps, path, was, order)
        for old, new in gaps:
            lost = [placed for placed in old if placed not in moved] if moved else old
            come = [placed for placed in new if placed not in moved] if moved else new
            for one, other in pairing.pairs(lost, come):
                if other is None:
                    assert one is not None
                    self._value(one.item, None, path, (*was, one.place), (*order, one.place))
                else:
                    if one and one.item.is_container and other.item.is_container:
                        self.diff.inside[(*path, other.place)] = other.item
                    self._value(
                        one.item if one else None,
                        other.item,
                        (*path, other.place),
                        (*was, one.place) if one else (*path, other.place),
                        (*order, other.place),
                    )

    def _moves(
        self, gaps: list[tuple[list[Placed], list[Placed]]], path: Path, was: Path, order: tuple[int, ...]
    ) -> set[Placed]:
        """The same bytes gone in one place and come in another."""
        both = {placed.item.content for old, _ in gaps for placed in old}
        both &= {placed.item.content for _, new in gaps for placed in new}
        moved: set[Placed] = set()
        if not both:
            return moved
        gone: defaultdict[bytes, deque[Placed]] = defaultdict(deque)
        for old, _ in gaps:
            for placed in old:
                if placed.item.content in both:
                    gone[placed.item.content].append(placed)
        for _, new in gaps:
            for placed in new:
                if left := gone.get(placed.item.content):
                    before = left.popleft()
                    moved.update((before, placed))
                    change = Change(
                        "move", (*path, placed.place), before.item, placed.item, (*was, before.place)
                    )
                    self._say((*order, placed.place), change)
        return moved


def _closed_apart(old: list[Piece], new: list[Piece]) -> list[bytes]:
    """Index nodes that only one side has."""
    sides = [{piece.name for piece in side if piece.tag == node.NODE} for side in (old, new)]
    return sorted(sides[0] ^ sides[1])


def _opened(pieces: list[Piece], nodes: Nodes) -> list[Piece]:
    out: list[Piece] = []
    for piece in pieces:
        out += pieces_of(nodes[piece.name]) if piece.tag == node.NODE and piece.name in nodes else [piece]
    return out


def _marks(pieces: list[Piece]) -> list[tuple[bytes, bytes]]:
    return [(piece.key, piece.name or piece.text) for piece in pieces]


def _unread(pieces: Iterable[Piece], nodes: Nodes) -> list[bytes]:
    """Leaves and index nodes that stand in a gap and are not loaded."""
    names = []
    for piece in pieces:
        if piece.tag in (node.LEAF, node.NODE):
            if piece.name not in nodes:
                names.append(piece.name)
            elif piece.tag == node.NODE:
                names += _unread(pieces_of(nodes[piece.name]), nodes)
    return names


class _Stretch(NamedTuple):
    """Items that follow one another, and the place of the first in the whole container."""

    start: int
    items: list[Item]

    def placed(self, start: int = 0, end: int | None = None) -> list[Placed]:
        return [Placed(n, item) for n, item in enumerate(self.items[start:end], self.start + start)]


def _items(pieces: list[Piece], start: int, end: int, nodes: Nodes, kind: bytes) -> _Stretch:
    index = sum(piece.items for piece in pieces[:start])
    return _Stretch(index, [item for piece in pieces[start:end] for item in items_of(piece, nodes, kind)])


def _are_small(old: Item, new: Item) -> bool:
    """Containers whose text is at hand."""
    return old.piece is None and new.piece is None and old.is_container and new.is_container


def _in_order(numbers: list[int]) -> list[int]:
    """The longest part of them that increases."""
    return [i for i, _ in aligning.increasing([(number, place) for place, number in enumerate(numbers)])]
