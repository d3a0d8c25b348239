"""Files, and strings as huge as files: cut at lines, so that an edit in the middle moves little.

Up to 1 MiB a file is one node. Above, its items are lines; a line of more than 4 KiB is cut after runs of
space, comma and NUL, and every 4 KiB. The parts of a file are grouped like a container's pieces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from zlib import crc32

from sickbay.tree import cut
from sickbay.tree.node import BYTES, FILE, file_node, varint

ONE = 1 << 20  # bytes of a file that is one node
TARGET = 262_144  # bytes of a part, about
LINE = 4_096
# A long line is cut where a run of gaps ends, 64 bytes to 4 KiB after the cut before, else after 4 KiB.
_PIECE = re.compile(rb"(?s:.{63,4095}?[ ,\0](?![ ,\0])|.{1,4096})")
_SCALE = 1 << 32

Emit = Callable[[bytes, int, int], bytes]  # plain, items, length → name


def grown(data: bytes, emit: Emit, always_cut: bool = False) -> bytes:
    """The name of the tree of these bytes. A huge string is always a file node, however small."""
    if len(data) <= ONE and not always_cut:
        return emit(BYTES + data, 0, len(data))
    return joined(((len(part), emit(BYTES + part, 0, len(part))) for part in parts_of([data])), emit)


def joined(parts: Iterable[tuple[int, bytes]], emit: Emit) -> bytes:
    """The file node of its parts, grouped until they are few."""
    pieces = list(parts)
    while sum(_weight(part) for part in pieces) > cut.GROUPED:
        out, start = [], 0
        for end in cut.group_ends((_weight(part), part[1]) for part in pieces):
            group, start = pieces[start:end], end
            length = sum(length for length, _ in group)
            out.append((length, emit(file_node(group), len(group), length)))
        out += pieces[start:]
        if len(out) >= len(pieces):
            break
        pieces = out
    return emit(file_node(pieces), len(pieces), sum(length for length, _ in pieces))


def _weight(part: tuple[int, bytes]) -> int:
    return len(varint(part[0])) + len(part[1])


def parts_of(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The parts of a large file that is read in blocks of any size; the cut does not depend on them."""
    part: list[bytes] = []
    size = 0
    for item in _items(blocks):
        part.append(item)
        size += len(item)
        if size < TARGET // 4:
            continue
        if size >= 2 * TARGET or crc32(item) * TARGET < len(item) * _SCALE:
            yield b"".join(part)
            part, size = [], 0
    if part:
        yield b"".join(part)


def _items(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines with their ends, and the pieces of long ones."""
    rest, is_long = b"", False
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            if is_long or len(line) >= LINE:
                yield from _PIECE.findall(line + b"\n")
                is_long = False
            else:
                yield line + b"\n"
        if len(rest) > 4 * LINE:
            pieces = _PIECE.findall(rest)
            rest, is_long = pieces.pop(), True  # what ends with the block may go on in the next
            yield from pieces
    yield from _PIECE.findall(rest) if is_long or len(rest) > LINE else filter(None, [rest])


__all__ = ["BYTES", "FILE", "Emit", "grown", "joined", "parts_of"]
