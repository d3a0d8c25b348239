"""A directory: entries in the order of their names' bytes.

    0 file, 1 executable    size, name of B or F
    2 symlink               its target
    3 directory             name of D
    4 directory in place    its body; one of at most 1 KiB stands in its parent

Names are bytes as the file system has them. A name that no honest snapshot holds (empty, ".", "..", with a
"/" or a NUL, out of order, twice) is no directory of ours: it is refused when it is read.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from sickbay.tree.node import DIRECTORY, HASH, BadNode, Reader, varint

PLAIN_FILE, EXECUTABLE, SYMLINK, SUBDIRECTORY, IN_PLACE = range(5)
SMALL = 1_024  # bytes of a directory's body that stands in its parent
NAME_LIMIT, TARGET_LIMIT = 255, 4_095
DEEPEST = 128  # directories inside of each other
_NAME = re.compile(rb"[^/\0]{1,%d}" % NAME_LIMIT)


class Entry(NamedTuple):
    """One name. `size` of a file; `name` of a node; `body` a link's target or a directory in place."""

    filename: bytes
    kind: int
    size: int = 0
    name: bytes = b""
    body: bytes = b""


def body_of(entries: list[Entry]) -> bytes:
    """The body of a directory whose entries are sorted by name."""
    return b"".join(map(_entry_bytes, entries))


def _entry_bytes(entry: Entry) -> bytes:
    head = varint(len(entry.filename)) + entry.filename + bytes((entry.kind,))
    if entry.kind in (PLAIN_FILE, EXECUTABLE):
        return head + varint(entry.size) + entry.name
    if entry.kind == SUBDIRECTORY:
        return head + entry.name
    return head + varint(len(entry.body)) + entry.body


def entries_of(plain: bytes, *, deep: bool = True) -> list[Entry]:
    """The entries of a D node."""
    if plain[:2] != DIRECTORY:
        raise BadNode(f"a node of type {plain[:2]!r} is no directory")
    return entries_in(plain[2:], deep=deep)


def entries_in(body: bytes, depth: int = 0, *, deep: bool = True) -> list[Entry]:
    """The entries of a directory's body; those of directories in place are checked, too.

    `deep=False` leaves those for whoever opens them: of a tree that was checked when it came.
    """
    if depth > DEEPEST:
        raise BadNode(f"directories stand more than {DEEPEST} deep in each other")
    reader, entries, before = Reader(body), [], b""
    while reader:
        entry = _entry(reader, depth, deep)
        if entry.filename <= before:
            raise BadNode("names in a directory are out of order, or one stands twice")
        before = entry.filename
        entries.append(entry)
    return entries


def _entry(reader: Reader, depth: int, deep: bool) -> Entry:
    filename = reader.take(reader.number())
    if not _NAME.fullmatch(filename) or filename in (b".", b".."):
        raise BadNode(f"{filename[:60]!r} cannot be a file's name")
    kind = reader.byte()
    if kind in (PLAIN_FILE, EXECUTABLE):
        return Entry(filename, kind, reader.number(), reader.take(HASH))
    if kind == SUBDIRECTORY:
        return Entry(filename, kind, name=reader.take(HASH))
    if kind not in (SYMLINK, IN_PLACE):
        raise BadNode(f"an entry of kind {kind} is unknown")
    body = reader.take(reader.number())
    if kind == SYMLINK and (not 0 < len(body) <= TARGET_LIMIT or b"\0" in body):
        raise BadNode(f"the link {filename[:60]!r} has no target")
    if kind == IN_PLACE:
        if len(body) > SMALL:
            raise BadNode("a directory of more than 1 KiB stands in its parent")
        if deep:
            entries_in(body, depth + 1)
    return Entry(filename, kind, body=body)
