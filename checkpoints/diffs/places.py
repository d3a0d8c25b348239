"""One place of a tree, by its path: the value or file that stands there, a stretch of a list, a key's names.

Only what leads there is loaded. `None` where nothing stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from checkpoints.diffs.items import Item, Path, items_of, kind, pieces, root_item
from sickbay.tree import node
from sickbay.tree.directory import IN_PLACE, SUBDIRECTORY, Entry, entries_in, entries_of
from sickbay.tree.node import BadNode, Piece, name_of, pieces_of
from sickbay.tree.read import Fetch, checked, data_of, links, text_of
from sickbay.tree.text import dump

Nodes = dict[bytes, bytes]


def whole(root: bytes, fetch: Fetch) -> Item:
    """A memory as an item."""
    return root_item(checked([root], fetch)[root])


def value(root: bytes, path: Path, fetch: Fetch) -> Item | None:
    """What stands at the path in a memory."""
    found: Item | None = whole(root, fetch)
    for step in path:
        found = inside(found, step, fetch) if found is not None else None
    return found


def inside(item: Item, step: str | int, fetch: Fetch) -> Item | None:
    """What stands one step further."""
    if not item.is_container:
        return None
    return _at(item, step, fetch) if isinstance(step, int) else _under(item, step, fetch)


def count(container: Item, fetch: Fetch) -> int:
    """How many values a list or an object has; its pieces say so."""
    return node.items_in(pieces(container, _own(container, fetch)))


def stretch(container: Item, start: int, end: int, fetch: Fetch) -> list[Item]:
    """The items of a list from `start` up to `end`."""
    if not container.is_container:
        return []
    nodes = _own(container, fetch)
    if kind(container, nodes) != b"[":
        return []
    before, parts = _cut(pieces(container, nodes), start, end, nodes, fetch)
    found = [item for part in parts for item in items_of(part, nodes, b"[")]
    return found[max(0, start - before) : max(0, end - before)]


def names(root: bytes, fetch: Fetch, most: int) -> list[bytes]:
    """The keys of a memory, as they are spelled; none when it has more than `most`, or is no object."""
    return keys(whole(root, fetch), fetch, most)


def is_list(item: Item, fetch: Fetch) -> bool:
    return item.is_container and kind(item, _own(item, fetch)) == b"["


def keys(item: Item, fetch: Fetch, most: int) -> list[bytes]:
    """The same of an object anywhere in it."""
    nodes = _own(item, fetch)
    if not item.is_container or kind(item, nodes) != b"{":
        return []
    parts = pieces(item, nodes)
    if node.items_in(parts) > most:
        return []
    _load(parts, nodes, fetch)
    return [found.key for part in parts for found in items_of(part, nodes, b"{")]


def texts(items: Iterable[Item], fetch: Fetch) -> list[bytes]:
    """The canonical texts of the items, loaded together; the caller knows how long they are."""
    wanted = list(items)
    nodes: Nodes = {name_of(i.piece.text): i.piece.text for i in wanted if i.piece and not i.piece.name}
    ahead = [link.name for plain in nodes.values() for link in links(plain)]
    ahead += [item.piece.name for item in wanted if item.piece and item.piece.name]
    while ahead:
        level = checked(ahead, fetch)
        nodes |= level
        ahead = [link.name for plain in level.values() for link in links(plain) if link.name not in nodes]
    return [_text(item, nodes) for item in wanted]


def entry(root: bytes, path: bytes, fetch: Fetch) -> Entry | None:
    """The file, link or directory of this path in a workspace."""
    found: Entry | None = Entry(b"", SUBDIRECTORY, name=root)
    for filename in path.split(b"/"):
        if found is None or found.kind not in (SUBDIRECTORY, IN_PLACE):
            return None
        own = found.name
        inside = entries_in(found.body) if found.kind == IN_PLACE else entries_of(checked([own], fetch)[own])
        found = next((one for one in inside if one.filename == filename), None)
    return found


def files(entries: Iterable[Entry], fetch: Fetch) -> dict[bytes, bytes]:
    """The bytes of these files by the names of their nodes, loaded together."""
    roots = list(dict.fromkeys(one.name for one in entries))
    nodes: Nodes = {}
    ahead = roots
    while ahead:
        level = checked(ahead, fetch)
        nodes |= level
        ahead = [link.name for plain in level.values() for link in links(plain) if link.name not in nodes]
    return {name: data_of(name, lambda asked: _of(nodes, asked)) for name in roots}


def _of(nodes: Mapping[bytes, bytes], asked: list[bytes]) -> dict[bytes, bytes]:
    return {name: nodes[name] for name in asked if name in nodes}


def _text(item: Item, nodes: Nodes) -> bytes:
    if item.piece is None:
        return item.text
    read = data_of if item.piece.tag == node.BLOB else text_of
    return read(item.piece.name or name_of(item.piece.text), lambda asked: _of(nodes, asked))


def _own(item: Item, fetch: Fetch) -> Nodes:
    return checked([item.piece.name], fetch) if item.piece is not None and item.piece.name else {}


def _at(item: Item, place: int, fetch: Fetch) -> Item | None:
    found = stretch(item, place, place + 1, fetch) if place >= 0 else []
    return found[0] if found else None


def _under(item: Item, key: str, fetch: Fetch) -> Item | None:
    nodes = _own(item, fetch)
    if kind(item, nodes) != b"{":
        return None
    spelled, parts = dump(key), pieces(item, nodes)
    for part in parts:
        if part.key == spelled:
            return Item(part.key, b"", part)
    _load([part for part in parts if not part.key], nodes, fetch)
    found = [one for part in parts if not part.key for one in items_of(part, nodes, b"{")]
    return next((one for one in found if one.key == spelled), None)


def _cut(parts: list[Piece], start: int, end: int, nodes: Nodes, fetch: Fetch) -> tuple[int, list[Piece]]:
    """The pieces that have the items from `start` to `end`, loaded, and how many items are before them."""
    before = 0
    while True:
        at, first = before, before
        found: list[Piece] = []
        for part in parts:
            if at + part.items > start and at < end:
                first = first if found else at
                found.append(part)
            at += part.items
        before, parts = first, found
        index = [part.name for part in parts if part.tag == node.NODE]
        if not index:
            break
        opened = checked(index, fetch)
        parts = [
            inner
            for part in parts
            for inner in (pieces_of(opened[part.name]) if part.tag == node.NODE else [part])
        ]
    _load(parts, nodes, fetch)
    return before, parts


def _load(parts: Iterable[Piece], nodes: Nodes, fetch: Fetch) -> None:
    """The leaves of these pieces, and the index nodes above them."""
    ahead = [part.name for part in parts if part.tag in (node.LEAF, node.NODE)]
    for _ in range(64):
        if not ahead:
            return
        level = checked(ahead, fetch)
        nodes |= level
        opened = [pieces_of(plain) for plain in level.values() if plain[:1] == b"N"]
        ahead = [
            part.name
            for inner in opened
            for part in inner
            if part.tag in (node.LEAF, node.NODE) and part.name not in nodes
        ]
    raise BadNode("index nodes stand too deep in each other")
