"""Where a container is cut: a pure function of its items, so that the same text has the same tree everywhere.

A run of items is closed where an item's own checksum says so, which a change elsewhere does not move; a
closed run becomes a leaf. The open last run stays in its container: the tail of a conversation is never a
node of its own. Big values are containers themselves, and close the run before them without a leaf.

Every number here is part of the format: to change one is a new format.
"""

from __future__ import annotations

from collections.abc import Iterable
from zlib import crc32

from sickbay.tree.node import INLINE, RUN, Piece, piece_bytes

TARGET = 12_288  # bytes of a leaf, about; also what makes a container big
HUGE = 8 * TARGET  # bytes of a string's text that is cut like a file
DEEPEST = 32  # containers inside of each other that get nodes of their own
RUNS_IN_PLACE = 65_536  # bytes of runs before big values that stay in one container
IN_PLACE, ALL_IN_PLACE = 32_768, 131_072  # bytes of a node, of all nodes, that stand in the root itself
GROUPED = 4_096  # bytes of pieces with names above which they are grouped
GROUP_LEAST, GROUP_TARGET, GROUP_MOST = 512, 2_048, 8_192
_SCALE = 1 << 32


def closes(size: int, key: bytes, length: int) -> bool:
    """Whether a run of `size` bytes ends after its item with this key and `length` bytes."""
    if size < TARGET // 4:
        return False
    return size >= 2 * TARGET or crc32(key) * TARGET < length * _SCALE


def is_big(value: bytes, depth: int) -> bool:
    """A container that gets a node of its own, or a string that is cut like a file."""
    if depth >= DEEPEST:
        return False
    first = value[:1]
    if first in (b"[", b"{"):
        return len(value) >= TARGET
    return first == b'"' and len(value) >= HUGE


def group_ends(weighed: Iterable[tuple[int, bytes]]) -> list[int]:
    """Where groups end, of pieces with their weight (0: it neither closes nor counts) and name."""
    ends, size = [], 0
    for place, (weight, name) in enumerate(weighed):
        size += weight
        chosen = int.from_bytes(name[:4], "big") * GROUP_TARGET < weight * _SCALE
        if weight and (size >= GROUP_MOST or (size >= GROUP_LEAST and chosen)):
            ends.append(place + 1)
            size = 0
    return ends


def weighed(piece: Piece) -> tuple[int, bytes]:
    """What a piece counts when pieces are grouped."""
    return (0, b"") if piece.tag in (RUN, INLINE) else (len(piece_bytes(piece)), piece.name)
