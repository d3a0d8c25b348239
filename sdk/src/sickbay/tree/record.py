"""A record: a node as it travels and waits, by its name, its encoding and what it was encoded against.

    length · name 32 · encoding 1 · base flag 1 · base 32? · plain length · items · length · payload

Records follow each other, children before parents. `items` and `length` are what stands below a node, as its
parents say, too. Reading them unpacks nothing: whoever does, judges the declared sizes first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sickbay.tree.node import HASH, BadNode, Reader, varint
from sickbay.tree.pack import AGAINST as AGAINST
from sickbay.tree.pack import SCRIPT as SCRIPT


class Record(NamedTuple):
    """One node, encoded. `base`: the name of the node whose plain bytes the encoding needs, or empty."""

    name: bytes
    encoding: int
    base: bytes
    plain_length: int
    items: int
    length: int
    payload: bytes


def write(record: Record) -> bytes:
    head = record.name + bytes((record.encoding, bool(record.base))) + record.base
    sizes = varint(record.plain_length) + varint(record.items) + varint(record.length)
    rest = head + sizes + record.payload
    return varint(len(rest)) + rest


def read(data: bytes) -> Iterator[Record]:
    """The records in these bytes; BadNode where they are none."""
    outer = Reader(data)
    while outer:
        size = outer.number()
        reader = Reader(data, outer.at, outer.at + size)
        if reader.end > outer.end:
            raise BadNode(f"a record ends {reader.end - outer.end} bytes too early")
        outer.at = reader.end
        yield _record(reader)


def _record(reader: Reader) -> Record:
    name, encoding, has_base = reader.take(HASH), reader.byte(), reader.byte()
    if encoding > SCRIPT or has_base > 1:
        raise BadNode(f"encoding {encoding} is unknown")
    if has_base != (encoding >= AGAINST):
        raise BadNode("a record needs a base, or has one that it does not need")
    base = reader.take(HASH) if has_base else b""
    plain_length, items, length = reader.number(), reader.number(), reader.number()
    payload = reader.take(reader.end - reader.at)
    return Record(name, encoding, base, plain_length, items, length, payload)
