"""The mark of one place in many trees: the same for the same bytes, from the root and what leads there alone.

All trees are asked at once, level by level, so that a hundred checkpoints cost as many questions as one; a
node that two of them share is loaded once.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable

from checkpoints.diffs.items import Item, Path, items_of, kind, pieces, root_item
from checkpoints.diffs.loading import Comparing, Nodes, Rounds, TooMuch
from sickbay.tree import node
from sickbay.tree.directory import IN_PLACE, SUBDIRECTORY, Entry, entries_in, entries_of
from sickbay.tree.node import Piece, pieces_of
from sickbay.tree.paths import entry_name
from sickbay.tree.read import Fetch
from sickbay.tree.text import dump

Mark = bytes | str | None
Finding = Generator[list[bytes], Nodes, Item | None]


class Tracing:
    """`marks` by root; None where nothing stands. `most` limits the bytes that are loaded in all."""

    def __init__(self, fetch: Fetch, most: int) -> None:
        self.marks: dict[bytes, Mark] = {}
        self._rounds = Rounds(fetch, most)

    def values(self, roots: Iterable[bytes], path: Path) -> bool:
        """Look at this place in these memories; False when there was too much to be loaded."""
        return self._run([self._value(root, path) for root in self._new(roots)])

    def files(self, roots: Iterable[bytes], path: bytes) -> bool:
        return self._run([self._file(root, path) for root in self._new(roots)])

    def _new(self, roots: Iterable[bytes]) -> list[bytes]:
        return [root for root in dict.fromkeys(roots) if root not in self.marks]

    def _run(self, tracing: list[Comparing]) -> bool:
        for one in tracing:
            self._rounds.add(one)
        try:
            self._rounds.run()
        except TooMuch:
            return False
        return True

    def _value(self, root: bytes, path: Path) -> Comparing:
        nodes = yield [root]
        found: Item | None = root_item(nodes[root])
        for step in path:
            if found is None or not found.is_container:
                found = None
                break
            named = [found.piece.name] if found.piece is not None and found.piece.name else []
            nodes = (yield named) if named else {}
            parts, is_list = pieces(found, nodes), kind(found, nodes) == b"["
            if is_list is not isinstance(step, int):
                found = None
            elif isinstance(step, int):
                found = yield from _at(parts, step)
            else:
                found = yield from _under(parts, dump(step))
        self.marks[root] = found.mark[1] if found is not None else None

    def _file(self, root: bytes, path: bytes) -> Comparing:
        found: Entry | None = Entry(b"", SUBDIRECTORY, name=root)
        for filename in path.split(b"/"):
            if found is None or found.kind not in (SUBDIRECTORY, IN_PLACE):
                found = None
                break
            nodes = (yield [found.name]) if found.kind == SUBDIRECTORY else {}
            inside = entries_in(found.body) if found.kind == IN_PLACE else entries_of(nodes[found.name])
            found = next((one for one in inside if one.filename == filename), None)
        self.marks[root] = entry_name(found)


def _at(parts: list[Piece], place: int) -> Finding:
    """The item at a place of a list: pieces say how many items they have, so only one leads there."""
    while place >= 0:
        for part in parts:
            if place < part.items:
                break
            place -= part.items
        else:
            return None
        if part.tag != node.NODE:
            nodes = (yield [part.name]) if part.tag == node.LEAF else {}
            return items_of(part, nodes, b"[")[place]
        nodes = yield [part.name]
        parts = pieces_of(nodes[part.name])
    return None


def _under(parts: list[Piece], key: bytes) -> Finding:
    """The value under a key: large ones say their key, of the small ones the leaves are read."""
    while parts:
        ahead = [part for part in parts if part.tag in (node.LEAF, node.NODE)]
        found = _keyed([part for part in parts if part.tag not in (node.LEAF, node.NODE)], key, {})
        if found is not None or not ahead:
            return found
        nodes = yield [part.name for part in ahead]
        found = _keyed([part for part in ahead if part.tag == node.LEAF], key, nodes)
        if found is not None:
            return found
        deeper = [part for part in ahead if part.tag == node.NODE]
        parts = [inner for part in deeper for inner in pieces_of(nodes[part.name])]
    return None


def _keyed(parts: list[Piece], key: bytes, nodes: Nodes) -> Item | None:
    found = (item for part in parts for item in items_of(part, nodes, b"{") if item.key == key)
    return next(found, None)
