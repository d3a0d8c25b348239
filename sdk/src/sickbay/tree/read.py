"""Reading a tree: its text, its files, its links, level by level.

`fetch` is given the names that are wanted and answers with their plain bytes; about one call a level, so that
a database is asked as often as the tree is deep. Every node is checked by its name.

A few nodes that stand in each other many times are gigabytes of text. So the root says first how much it is,
each node is as long as every parent says, and nothing is put together before all of that is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from sickbay.tree import node
from sickbay.tree.directory import (
    DEEPEST,
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

MOST_TEXT = 512 * 1024 * 1024  # bytes of a memory's text, or of a file that is read whole
MOST_LEVELS = 400  # nodes below each other
AT_ONCE = 2_048  # nodes that are asked for at a time
OVERHEAD = 1 << 20  # bytes of nodes, beyond twice their text, that a tree may have
PIECES, PER_PIECE = (
    100_000,
    256,
)  # pieces that any text may be made of, and bytes of text for each further one
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
        return list(_piece_links(pieces_of(plain), kind[1:], 0))
    if kind == node.FILE:
        return [Link(name, _DATA, -1, length) for length, name in node.file_parts(plain)]
    if kind == node.DIRECTORY:
        return list(_entry_links(entries_of(plain)))
    if kind not in node.KINDS:
        raise BadNode(f"a node of type {kind!r} is unknown")
    return []


def _piece_links(pieces: list[Piece], bracket: bytes, depth: int) -> Iterable[Link]:
    if depth > DEEPEST:
        raise BadNode("containers stand too deep in each other")
    for piece in pieces:
        if piece.tag == node.INLINE:
            inner = pieces_of(piece.text)
            if node.text_length(inner) + 2 != piece.length:
                raise BadNode("a container in place has not the bytes that it says")
            yield from _piece_links(inner, piece.text[1:2], depth + 1)
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


def text_of(root: bytes, fetch: Fetch, most: int = MOST_TEXT) -> bytes:
    """The canonical text of a memory; BadNode when it says that it is more than `most` bytes."""
    nodes = below(root, fetch, most)
    plain = nodes[root]
    if plain[:2] == node.LIST_LEAF:
        return plain[2:]  # a memory that is one number, string or word
    return _joined(_parts(plain), nodes, length_of(plain))


def data_of(name: bytes, fetch: Fetch, length: int | None = None) -> bytes:
    """The bytes of a file; BadNode when it is not as long as it should be."""
    nodes = below(name, fetch, MOST_TEXT if length is None else length)
    said = length_of(nodes[name])
    if length is not None and said != length:
        raise BadNode(f"a file should have {length:,} bytes, and has {said:,}")
    return _joined([Piece(node.BLOB, 1, said, name)], nodes, said)


def below(root: bytes, fetch: Fetch, most: int = MOST_TEXT) -> dict[bytes, bytes]:
    """All nodes of a tree, each once; BadNode when one is not as its parents say, or they are too much."""
    nodes = checked([root], fetch)
    total = length_of(nodes[root])
    if total > most:
        raise BadNode(f"it stands for {total:,} bytes; at most {most:,} are read")
    left, level = 2 * total + OVERHEAD, nodes
    for _ in range(MOST_LEVELS):
        found = [link for plain in level.values() for link in links(plain)]
        wanted = [name for name in dict.fromkeys(link.name for link in found) if name not in nodes]
        level = {}
        for start in range(0, len(wanted), AT_ONCE):
            some = checked(wanted[start : start + AT_ONCE], fetch)
            left -= sum(map(len, some.values()))
            if left < 0:
                raise BadNode(f"its nodes are far more than the {total:,} bytes that they stand for")
            level |= some
        nodes |= level
        _are_as_said(found, nodes)
        if not level:
            return nodes
    raise BadNode(f"nodes stand more than {MOST_LEVELS} deep in each other")


def length_of(plain: bytes) -> int:
    """Bytes of text or of a file that a node says to stand for."""
    kind = plain[:2]
    if kind in (node.LIST, node.OBJECT):
        return node.text_length(pieces_of(plain)) + 2
    if kind in (node.LIST_INDEX, node.OBJECT_INDEX):
        return node.text_length(pieces_of(plain))
    if kind == node.FILE:
        return sum(length for length, _ in node.file_parts(plain))
    if kind in (node.LIST_LEAF, node.OBJECT_LEAF, node.BYTES):
        return len(plain) - 2
    raise BadNode(f"a node of type {kind!r} has no text")


def _are_as_said(found: list[Link], nodes: Mapping[bytes, bytes]) -> None:
    lengths: dict[bytes, int] = {}
    for link in found:
        plain = nodes[link.name]
        if plain[:2] not in link.kinds:
            raise BadNode(f"a node of type {plain[:2]!r} stands where only {sorted(link.kinds)} may")
        length = lengths.get(link.name)
        if length is None:
            length = lengths[link.name] = length_of(plain)
        if length != link.length:
            raise Damaged(f"a piece says {link.length:,} bytes, and has {length:,}")


def _joined(todo: list[bytes | Piece], nodes: Mapping[bytes, bytes], length: int) -> bytes:
    """The text of these, in order; without recursion, and of no more pieces than so much text has."""
    text, left = bytearray(), PIECES + length // PER_PIECE
    todo = todo[::-1]
    while todo:
        one = todo.pop()
        if isinstance(one, bytes):
            text += one
            continue
        left -= 1
        if left < 0:
            raise BadNode(f"its {length:,} bytes are cut into too many pieces")
        if one.key:
            text += one.key + b":"
        todo += reversed(_opened(one, nodes))
    return bytes(text)


def _opened(piece: Piece, nodes: Mapping[bytes, bytes]) -> list[bytes | Piece]:
    """What a piece stands for, without its key."""
    if piece.tag == node.RUN:
        return [piece.text]
    if piece.tag == node.INLINE:
        return _parts(piece.text)
    plain = nodes[piece.name]
    if plain[:2] in (node.LIST_LEAF, node.OBJECT_LEAF, node.BYTES):
        return [plain[2:]]
    if plain[:2] == node.FILE:
        return [Piece(node.BLOB, 1, length, name) for length, name in node.file_parts(plain)]
    return _parts(plain)


def _parts(plain: bytes) -> list[bytes | Piece]:
    """The pieces of a container or an index, and what stands between and around them."""
    parts: list[bytes | Piece] = []
    for piece in pieces_of(plain):
        parts += [b",", piece]
    inner = parts[1:]
    if plain[:1] == b"N":
        return inner
    return [b"[", *inner, b"]"] if plain[1:2] == b"[" else [b"{", *inner, b"}"]
