"""What a node says of itself and of what is below it, checked against the children that are there.

Pure. `read` takes a node's plain bytes apart, exactly or not at all; `weighed` compares what it says of its
children with them, and bounds the whole: a subtree that is shared counts as often as it is read, so a few
nodes that stand for terabytes are refused by arithmetic, without unpacking anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sickbay.tree import directory, node
from sickbay.tree.node import BadNode, Link
from sickbay.tree.read import links
from sickbay.tree.text import is_canonical, split_list, split_object

KINDS = (b"T[", b"T{", b"C[", b"C{", b"N[", b"N{", b"B ", b"F ", b"D ")
ROOTS = frozenset((b"T[", b"C[", b"C{"))
MOST_ITEMS = 5_000_000
MOST_BYTES = 1 << 38
MOST_HEIGHT = 400


class TooMuch(BadNode):
    """More than a tree may hold."""


class Shape(NamedTuple):
    """A node as its parents see it. `height`: nodes below each other; `depth`: bases to unpack it."""

    kind: bytes
    items: int
    length: int
    height: int
    plain: int = 0
    depth: int = 0
    chain: int = 0


class Read(NamedTuple):
    """A node by itself. `items` and `length` are 0 for a directory: they need its children."""

    kind: bytes
    items: int
    length: int
    links: list[Link]
    files: int = 0


def read(plain: bytes) -> Read:
    """BadNode when it is not spelled exactly as it must be."""
    kind = plain[:2]
    try:
        if kind in (b"T[", b"T{"):
            return Read(kind, _items_of(kind, plain[2:]), len(plain) - 2, [])
        if kind in (b"C[", b"C{", b"N[", b"N{"):
            return _container(plain)
        if kind == node.FILE:
            parts = node.file_parts(plain)
            return Read(kind, len(parts), sum(length for length, _ in parts), links(plain))
        if kind == node.BYTES:
            return Read(kind, 0, len(plain) - 2, [])
        if kind == node.DIRECTORY:
            own, size = _own(directory.entries_of(plain))
            return Read(kind, 0, size, links(plain), own)
    except RecursionError:
        raise BadNode("it is nested deeper than any program can read") from None
    raise BadNode(f"a node of type {kind!r} does not travel")


def weighed(found: Read, children: Mapping[bytes, Shape]) -> Shape:
    """Its shape, once each child is what the node says it is."""
    items, length, height = found.items + found.files, found.length, 0
    for link in found.links:
        child = children[link.name]
        _fits(link, child)
        height = max(height, child.height + 1)
        if child.kind == node.DIRECTORY:
            items += max(1, child.items)
            length += child.length
    if items > MOST_ITEMS:
        raise TooMuch(f"{items:,} entries; at most {MOST_ITEMS:,} are kept")
    if length > MOST_BYTES:
        raise TooMuch(f"{length:,} bytes; at most {MOST_BYTES:,} are kept")
    if height > MOST_HEIGHT:
        raise TooMuch(f"nodes stand more than {MOST_HEIGHT} deep in each other")
    return Shape(found.kind, items, length, height)


def _fits(link: Link, child: Shape) -> None:
    if child.kind not in link.kinds:
        raise BadNode(f"a {child.kind.decode()!r} stands where only {sorted(link.kinds)} may")
    if link.items >= 0 and link.items != child.items:
        raise BadNode(f"it says that a child has {link.items} items, which has {child.items}")
    if link.length >= 0 and link.length != child.length:
        raise BadNode(f"it says that a child has {link.length} bytes, which has {child.length}")


def _container(plain: bytes) -> Read:
    pieces = node.pieces_of(plain)
    _check_pieces(plain[1:2], pieces)
    length = node.text_length(pieces) + (2 if plain[:1] == b"C" else 0)
    return Read(plain[:2], node.items_in(pieces), length, links(plain))


def _check_pieces(bracket: bytes, pieces: list[node.Piece], depth: int = 0) -> None:
    """What stands in place: canonical text with as many items as it says, keys, inner containers."""
    if depth > directory.DEEPEST:
        raise BadNode("containers stand too deep in each other")
    for piece in pieces:
        if piece.tag == node.RUN and _items_of(b"T" + bracket, piece.text) != piece.items:
            raise BadNode(f"a run does not have the {piece.items} items that it says")
        if piece.key and not (piece.key[:1] == b'"' and is_canonical(piece.key)):
            raise BadNode("a key is no canonical string")
        if piece.tag == node.INLINE:
            inner = node.pieces_of(piece.text)
            _check_pieces(piece.text[1:2], inner, depth + 1)
            if node.text_length(inner) + 2 != piece.length:
                raise BadNode("a container in place has not the bytes that it says")


def _items_of(kind: bytes, body: bytes) -> int:
    """How many items a leaf's text has; BadNode unless it is canonical."""
    text = b"[%b]" % body if kind == b"T[" else b"{%b}" % body
    if not is_canonical(text):
        raise BadNode("its text is not canonical JSON")
    items = split_list(text) if kind == b"T[" else split_object(text)
    if not items:
        raise BadNode("a leaf without items")
    return len(items)


def _own(entries: list[directory.Entry]) -> tuple[int, int]:
    """Entries and bytes that a directory holds itself, with directories in place; an empty one counts."""
    files = size = 0
    for entry in entries:
        if entry.kind == directory.IN_PLACE:
            inner, below = _own(directory.entries_in(entry.body))
            files, size = files + max(1, inner), size + below
        elif entry.kind != directory.SUBDIRECTORY:
            files, size = files + 1, size + entry.size
    return files, size
