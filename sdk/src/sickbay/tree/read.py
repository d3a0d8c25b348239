"""Reading a tree: its text, its files, its links, level by level.

`fetch` is given the names that are wanted and answers with their plain bytes; one call a level, so that a
database is asked as often as the tree is deep. Every node is checked by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from sickbay.tree import node
from sickbay.tree.directory import (
    EXECUTABLE,
    IN_PLACE,
    PLAIN_FILE,
    SUBDIRECTORY,
    Entry,
    entries_in,
    entries_of,
)
from sickbay.tree.node import BadNode, Link, Piece, name_of, pieces_of

Fetch = Callable[[list[bytes]], Mapping[bytes, bytes]]

_CONTAINERS = {b"[": frozenset((node.LIST,)), b"{": frozenset((node.OBJECT,))}
_EITHER = frozenset((node.LIST, node.OBJECT))
_DATA = frozenset((node.BYTES, node.FILE))


class Damaged(BadNode):
    """A node is missing, or its bytes are not those of its name."""


class Proven(dict[bytes, bytes]):
    """Nodes by their names, each proven by it where it was read: `checked` need not do so again."""


def checked(wanted: Iterable[bytes], fetch: Fetch) -> dict[bytes, bytes]:
    """The nodes of these names, each proven by its name."""
    names = list(dict.fromkeys(wanted))
    found = fetch(names) if names else {}
    if isinstance(found, Proven) and found.keys() == set(names):
        return found
    for name in names:
        plain = found.get(name)
        if plain is None:
            raise Damaged(f"node {name.hex()[:12]} is missing")
        if name_of(plain) != name:
            raise Damaged(f"node {name.hex()[:12]} is damaged: its bytes have another name")
    return {name: found[name] for name in names}


def links(plain: bytes) -> list[Link]:
    """The children of a node, with what it says of each."""
    kind = plain[:2]
    if kind in (node.LIST, node.OBJECT, node.LIST_INDEX, node.OBJECT_INDEX):
        return list(_piece_links(pieces_of(plain), kind[1:]))
    if kind == node.FILE:
        return [Link(name, _DATA, -1, length) for length, name in node.file_parts(plain)]
    if kind == node.DIRECTORY:
        return list(_entry_links(entries_of(plain)))
    if kind not in node.KINDS:
        raise BadNode(f"a node of type {kind!r} is unknown")
    return []


def _piece_links(pieces: list[Piece], bracket: bytes) -> Iterable[Link]:
    for piece in pieces:
        if piece.tag == node.INLINE:
            yield from _piece_links(pieces_of(piece.text), piece.text[1:2])
        elif piece.tag == node.LEAF:
            yield Link(piece.name, frozenset((b"T" + bracket,)), piece.items, piece.length)
        elif piece.tag == node.NODE:
            yield Link(piece.name, frozenset((b"N" + bracket,)), piece.items, piece.length)
        elif piece.tag == node.SUB:
            yield Link(piece.name, _EITHER, -1, piece.length)
        elif piece.tag == node.BLOB:
            yield Link(piece.name, frozenset((node.FILE,)), -1, piece.length)


def _entry_links(entries: list[Entry]) -> Iterable[Link]:
    for entry in entries:
        if entry.kind in (PLAIN_FILE, EXECUTABLE):
            yield Link(entry.name, _DATA, -1, entry.size)
        elif entry.kind == SUBDIRECTORY:
            yield Link(entry.name, frozenset((node.DIRECTORY,)), -1, -1)
        elif entry.kind == IN_PLACE:
            yield from _entry_links(entries_in(entry.body))


def text_of(root: bytes, fetch: Fetch) -> bytes:
    """The canonical text of a memory."""
    nodes = below(root, fetch)
    plain = nodes[root]
    if plain[:2] == node.LIST_LEAF:
        return plain[2:]  # a memory that is one number, string or word
    return _text(plain, nodes)


def data_of(name: bytes, fetch: Fetch) -> bytes:
    """The bytes of a file."""
    return _data(name, below(name, fetch))


def below(root: bytes, fetch: Fetch) -> dict[bytes, bytes]:
    """All nodes of a tree, each once."""
    nodes: dict[bytes, bytes] = {}
    wanted = [root]
    while wanted:
        level = checked(wanted, fetch)
        nodes.update(level)
        ahead = dict.fromkeys(link.name for plain in level.values() for link in links(plain))
        wanted = [name for name in ahead if name not in nodes]
    return nodes


def _text(plain: bytes, nodes: Mapping[bytes, bytes]) -> bytes:
    bracket = plain[1:2]
    inner = b",".join(_piece_text(piece, nodes) for piece in pieces_of(plain))
    if plain[:1] == b"N":
        return inner
    return bracket + inner + (b"]" if bracket == b"[" else b"}")


def _piece_text(piece: Piece, nodes: Mapping[bytes, bytes]) -> bytes:
    if piece.tag == node.RUN:
        return piece.text
    if piece.tag == node.LEAF:
        text = nodes[piece.name][2:]
    elif piece.tag == node.INLINE:
        text = _text(piece.text, nodes)
    elif piece.tag == node.BLOB:
        text = _data(piece.name, nodes)
    else:
        text = _text(nodes[piece.name], nodes)
    if len(text) != piece.length:
        raise Damaged(f"a piece says {piece.length} bytes, and has {len(text)}")
    return piece.key + b":" + text if piece.key else text


def _data(name: bytes, nodes: Mapping[bytes, bytes]) -> bytes:
    plain = nodes[name]
    if plain[:2] == node.BYTES:
        return plain[2:]
    return b"".join(_data(part, nodes) for _, part in node.file_parts(plain))
