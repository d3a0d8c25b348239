"""A node of the tree: two ASCII bytes of type, then its body. Its name is the SHA-256 of these bytes.

    T[ T{   leaf        the text of whole items, joined by ","
    C[ C{   container   pieces: what a list or an object is made of, in order
    N[ N{   index       pieces of one container that were grouped
    B       bytes of a file, or of a huge string's text
    F       file        (length, name)* of B or F nodes
    D       directory   entries (directory.py)
    K       manifest    (manifest.py)

A piece says how many items and how many bytes of text stand below it, so that a reader can place an item
without loading what comes before it, and a server can refuse a bomb without unpacking it. What does not
parse exactly as it would be written is refused: a name stands for one spelling only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

LIST_LEAF, OBJECT_LEAF = b"T[", b"T{"
LIST, OBJECT = b"C[", b"C{"
LIST_INDEX, OBJECT_INDEX = b"N[", b"N{"
BYTES, FILE, DIRECTORY, MANIFEST = b"B ", b"F ", b"D ", b"K "
KINDS = frozenset(
    (LIST_LEAF, OBJECT_LEAF, LIST, OBJECT, LIST_INDEX, OBJECT_INDEX, BYTES, FILE, DIRECTORY, MANIFEST)
)

RUN, LEAF, SUB, NODE, INLINE, BLOB = range(6)
HASH = 32
PLAIN_LIMIT = 8 * 1024 * 1024  # bytes of one node
VARINT_LIMIT = 9  # bytes: 63 bits, what a database's int8 holds


class BadNode(ValueError):
    """Bytes that are no node of this format; the sentence says what is wrong with them."""


class Piece(NamedTuple):
    """A part of a container. `text` is a run's text or a node in place; `name` a child's; `key` is text."""

    tag: int
    items: int
    length: int
    name: bytes = b""
    key: bytes = b""
    text: bytes = b""

    @property
    def spans(self) -> int:
        """Bytes of text that it stands for in its container, its key included."""
        return self.length + len(self.key) + 1 if self.key else self.length


class Link(NamedTuple):
    """A child by name, and what the parent says of it; `items` -1: the parent does not say."""

    name: bytes
    kinds: frozenset[bytes]
    items: int
    length: int


def name_of(plain: bytes) -> bytes:
    return hashlib.sha256(plain).digest()


def varint(number: int) -> bytes:
    """LEB128, as short as it can be."""
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


class Reader:
    """A position in a body; every read is within bounds, or BadNode."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self.data, self.at, self.end = data, at, len(data) if end is None else end

    def __bool__(self) -> bool:
        return self.at < self.end

    def byte(self) -> int:
        if self.at >= self.end:
            raise BadNode("it ends in the middle of a piece")
        self.at += 1
        return self.data[self.at - 1]

    def number(self) -> int:
        if self.at < self.end and self.data[self.at] < 0x80:  # most are, and a loop takes three times as long
            self.at += 1
            return self.data[self.at - 1]
        value = shift = 0
        for _ in range(VARINT_LIMIT):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if byte == 0 and shift:
                    raise BadNode("a number is longer than it must be")
                return value
            shift += 7
        raise BadNode("a number is over 2**63")

    def take(self, count: int) -> bytes:
        if count > self.end - self.at:
            raise BadNode(f"it ends {count - (self.end - self.at)} bytes too early")
        self.at += count
        return self.data[self.at - count : self.at]


def piece_bytes(piece: Piece) -> bytes:
    """A piece as it stands in a body."""
    tag = piece.tag
    if tag == RUN:
        return b"\0" + varint(piece.items) + varint(piece.length) + piece.text
    if tag in (LEAF, NODE):
        return bytes((tag,)) + varint(piece.items) + varint(piece.length) + piece.name
    head = bytes((tag,)) + varint(len(piece.key)) + piece.key + varint(piece.length)
    return head + (varint(len(piece.text)) + piece.text if tag == INLINE else piece.name)


def container(kind: bytes, pieces: Iterable[Piece]) -> bytes:
    """The plain bytes of a container or an index."""
    return kind + b"".join(map(piece_bytes, pieces))


def pieces_of(plain: bytes) -> list[Piece]:
    """The pieces of a C or N node, checked."""
    kind = plain[:2]
    if kind not in (LIST, OBJECT, LIST_INDEX, OBJECT_INDEX):
        raise BadNode(f"a node of type {kind!r} has no pieces")
    reader, pieces = Reader(plain, 2), []
    keyed = kind[1:] == b"{"
    while reader:
        piece = _piece(reader)
        if piece.tag in (SUB, INLINE, BLOB) and bool(piece.key) is not keyed:
            raise BadNode("a key stands in a list, or an object's value has none")
        pieces.append(piece)
    return pieces


def _piece(reader: Reader) -> Piece:
    tag = reader.byte()
    if tag > BLOB:
        raise BadNode(f"piece {tag} is unknown")
    if tag in (RUN, LEAF, NODE):
        items, length = reader.number(), reader.number()
        if not items or items > length:
            raise BadNode(f"a piece of {items} items cannot have {length} bytes")
        if tag == RUN:
            return Piece(RUN, items, length, text=reader.take(length))
        return Piece(tag, items, length, name=reader.take(HASH))
    key = reader.take(reader.number())
    length = reader.number()
    if tag != INLINE:
        return Piece(tag, 1, length, name=reader.take(HASH), key=key)
    text = reader.take(reader.number())
    if text[:2] not in (LIST, OBJECT):
        raise BadNode(f"a node of type {text[:2]!r} cannot stand in place")
    return Piece(INLINE, 1, length, key=key, text=text)


def file_parts(plain: bytes) -> list[tuple[int, bytes]]:
    """(length, name) of the parts of an F node."""
    if plain[:2] != FILE:
        raise BadNode(f"a node of type {plain[:2]!r} is no file")
    reader, parts = Reader(plain, 2), []
    while reader:
        parts.append((reader.number(), reader.take(HASH)))
    if not parts:
        raise BadNode("a file node without parts")
    return parts


def file_node(parts: Iterable[tuple[int, bytes]]) -> bytes:
    return FILE + b"".join(varint(length) + name for length, name in parts)


def text_length(pieces: list[Piece]) -> int:
    """Bytes of the items' text, joined by commas; without brackets."""
    return sum(piece.spans for piece in pieces) + max(0, len(pieces) - 1)


def items_in(pieces: list[Piece]) -> int:
    return sum(piece.items for piece in pieces)
