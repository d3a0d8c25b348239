"""The values of a memory's containers as they stand in its tree: texts, or pieces that name a node."""

from __future__ import annotations

from typing import Any, NamedTuple

from checkpoints.diffs.loading import Nodes
from sickbay.tree import node
from sickbay.tree.node import Piece, name_of, pieces_of
from sickbay.tree.text import load, split_list, split_object

Path = tuple[str | int, ...]


class Item(NamedTuple):
    """A value of a list or an object: its text, or the piece that names its node."""

    key: bytes
    text: bytes
    piece: Piece | None

    @property
    def mark(self) -> tuple[bytes, bytes]:
        """The same for the same bytes."""
        return self.key, self.content

    @property
    def content(self) -> bytes:
        """The same for the same value."""
        if self.piece is None:
            return self.text
        return self.piece.name or name_of(self.piece.text)

    @property
    def length(self) -> int:
        return len(self.text) if self.piece is None else self.piece.length

    @property
    def is_container(self) -> bool:
        if self.piece is None:
            return self.text[:1] in (b"[", b"{")
        return self.piece.tag != node.BLOB


class Placed(NamedTuple):
    place: int
    item: Item


def value_of(text: bytes) -> Any:
    """The value of an item's or a key's text."""
    return load(text)


def root_item(plain: bytes) -> Item:
    """The root as an item: a container in place, or the text of a scalar."""
    if plain[:2] == node.LIST_LEAF:
        return Item(b"", plain[2:], None)
    length = node.text_length(pieces_of(plain)) + 2
    return Item(b"", b"", Piece(node.INLINE, 1, length, text=plain))


def kind(item: Item, nodes: Nodes) -> bytes:
    """`[` or `{`, of a container."""
    return item.text[:1] if item.piece is None else _plain(item, nodes)[1:2]


def pieces(item: Item, nodes: Nodes) -> list[Piece]:
    """What a container is made of."""
    if item.piece is not None:
        return pieces_of(_plain(item, nodes))
    items = split(item.text)
    inner = item.text[1:-1]
    return [Piece(node.RUN, len(items), len(inner), text=inner)] if items else []


def split(text: bytes) -> list[Item]:
    """The items of a container's text."""
    if text[:1] == b"{":
        return [Item(key, value, None) for key, value in split_object(text)]
    return [Item(b"", value, None) for value in split_list(text)]


def items_of(piece: Piece, nodes: Nodes, kind: bytes) -> list[Item]:
    """The items that a piece stands for; what it names is in `nodes`."""
    if piece.tag == node.NODE:
        return [item for inner in pieces_of(nodes[piece.name]) for item in items_of(inner, nodes, kind)]
    if piece.tag not in (node.RUN, node.LEAF):
        return [Item(piece.key, b"", piece)]
    text = piece.text if piece.tag == node.RUN else nodes[piece.name][2:]
    return split(b"{" + text + b"}" if kind == b"{" else b"[" + text + b"]")


def _plain(item: Item, nodes: Nodes) -> bytes:
    """The bytes of a container that is a node."""
    assert item.piece is not None
    return nodes[item.piece.name] if item.piece.name else item.piece.text
