"""What changed between two memories, from their trees: only what differs is loaded.

    container   pieces with the same name fall away; index nodes that both have stay closed, others are opened
    items       what is left is aligned by content, so a deleted message is one change, not all that follow
    moves       the same bytes gone here and come there
    pairs       what was replaced by something like it is looked into; the rest is removed and added

Paths lead through the new memory, those of what is removed through the old one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

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


def compare(old: bytes | None, new: bytes | None, fetch: Fetch, *, most: int = MOST_BYTES) -> MemoryDiff:
    """The changes from one memory's tree to another's."""
    return compare_all([(old, new)], fetch, most=most)[0]


def compare_all(
    pairs: Iterable[tuple[bytes | None, bytes | None]], fetch: Fetch, *, most: int = MOST_BYTES
) -> list[MemoryDiff]:
    """The same for many pairs with as few questions as for one; `most` is for all of them."""
    rounds = Rounds(fetch, most)
    comparing = [_Memories(rounds, *pair) for pair in pairs]
    try:
        rounds.run()
    except TooMuch:
        for one in comparing:
            one.diff.complete = one.done
    return [one.told() for one in comparing]


class _Memories:
    """One comparison. `order` is a change's place in the document, so that rounds may finish in any order."""

    def __init__(self, rounds: Rounds, old: bytes | None, new: bytes | None) -> None:
        self.rounds, self.diff = rounds, MemoryDiff()
        self.found: list[tuple[tuple[int, ...], Change]] = []
        self.done = old == new
        if not self.done:
            rounds.add(self.roots(old, new))

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
        return len(self.found) >= MOST_CHANGES

    def _value(
        self, old: Item | None, new: Item | None, path: Path, was: Path, order: tuple[int, ...]
    ) -> None:
        """A place whose value may have changed."""
        moved = was if was != path else None
        if old is None or new is None:
            op: Literal["add", "remove"] = "add" if old is None else "remove"
            self._say(order, Change(op, was if new is None else path, old, new))
        elif old.is_container and new.is_container:
            self.rounds.add(self._containers(old, new, path, was, order))
        else:
            self._say(order, Change("change", path, old, new, moved))

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
        pairs = [_placed(sides, gap, nodes, kind) for gap in gaps]
        if kind == b"{":
            self._objects(pairs, path, was, order)
        else:
            self._lists(pairs, path, was, order)

    def _objects(
        self, pairs: list[tuple[list[Placed], list[Placed]]], path: Path, was: Path, order: tuple[int, ...]
    ) -> None:
        """Keys are compared by name; the same keys in another order are moved."""
        olds = {placed.item.key: placed for old, _ in pairs for placed in old}
        news = {placed.item.key: placed for _, new in pairs for placed in new}
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
        self, pairs: list[tuple[list[Placed], list[Placed]]], path: Path, was: Path, order: tuple[int, ...]
    ) -> None:
        gaps: list[tuple[list[Placed], list[Placed]]] = []
        for old, new in pairs:
            for gap in aligning.gaps([p.item.mark for p in old], [p.item.mark for p in new]):
                gaps.append((old[gap.old_start : gap.old_end], new[gap.new_start : gap.new_end]))
        moved = self._moves(gaps, path, was, order)
        for old, new in gaps:
            lost = [placed for placed in old if placed not in moved]
            come = [placed for placed in new if placed not in moved]
            for before, after in pairing.pairs(lost, come):
                if after is None:
                    assert before is not None
                    self._value(before.item, None, path, (*was, before.place), (*order, before.place))
                else:
                    if before and before.item.is_container and after.item.is_container:
                        self.diff.inside[(*path, after.place)] = after.item
                    self._value(
                        before.item if before else None,
                        after.item,
                        (*path, after.place),
                        (*was, before.place) if before else (*path, after.place),
                        (*order, after.place),
                    )

    def _moves(
        self, gaps: list[tuple[list[Placed], list[Placed]]], path: Path, was: Path, order: tuple[int, ...]
    ) -> set[Placed]:
        """The same bytes gone in one place and come in another."""
        gone: defaultdict[Any, list[Placed]] = defaultdict(list)
        for old, _ in gaps:
            for placed in old:
                gone[placed.item.mark].append(placed)
        moved: set[Placed] = set()
        for _, new in gaps:
            for placed in new:
                if left := gone.get(placed.item.mark):
                    before = left.pop(0)
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


def _placed(
    sides: list[list[Piece]], gap: aligning.Gap, nodes: Nodes, kind: bytes
) -> tuple[list[Placed], list[Placed]]:
    """The items of a gap on either side, with their places in the whole list."""
    old = _items(sides[0], gap.old_start, gap.old_end, nodes, kind)
    return old, _items(sides[1], gap.new_start, gap.new_end, nodes, kind)


def _items(pieces: list[Piece], start: int, end: int, nodes: Nodes, kind: bytes) -> list[Placed]:
    index = sum(piece.items for piece in pieces[:start])
    items = [item for piece in pieces[start:end] for item in items_of(piece, nodes, kind)]
    return [Placed(index + n, item) for n, item in enumerate(items)]


def _in_order(numbers: list[int]) -> list[int]:
    """The longest part of them that increases."""
    return [i for i, _ in aligning.increasing([(number, place) for place, number in enumerate(numbers)])]
