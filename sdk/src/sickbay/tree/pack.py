"""How a node's plain bytes travel and rest: four encodings of the same bytes, none of them part of its name.

    0  plain
    1  zstd
    2  zstd with the plain bytes of another node, the base, as its dictionary
    3  zstd of a script against a base: 01 offset length (copy) | 00 length (new), …, then all that is new

Numbers in a script are LEB128. A zstd payload is one frame that declares its size, with a window of at most
8 MiB. `unpack` trusts nothing: it knows how much memory it will take before it takes any.

A base whose bytes are gone still helps: `fingerprints`, kept of the old bytes, tell which pieces came back.
Pieces end at lines whose checksum says so (about every 1 KiB), so an inserted line moves no other piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from itertools import accumulate, pairwise
from typing import Any
from zlib import crc32

from sickbay.tree.node import BadNode, varint

PLAIN, ZSTD, AGAINST, SCRIPT = range(4)
WINDOW = 8 * 1024 * 1024
LEVEL = 3
BASE_COST = 32
PIECE, SHORT, LONG = 1024, 256, 4096
PRINT = 8


def pack(plain: bytes, base: bytes | None = None, script: bytes | None = None) -> tuple[int, bytes]:
    """The cheapest encoding and its payload; naming a base costs 32 bytes. `script` is of `copy_ops`."""
    ways = [(PLAIN, plain), (ZSTD, _compress(plain))]
    if base:
        ways.append((AGAINST, _compress(plain, base)))
    if script is not None:
        ways.append((SCRIPT, _compress(script)))
    return min(ways, key=lambda way: len(way[1]) + BASE_COST * (way[0] in (AGAINST, SCRIPT)))


def unpack(enc: int, payload: bytes, plain_length: int, base: bytes | None, limit: int) -> bytes:
    """The plain bytes, never more than `limit`; BadNode says what is wrong before memory is taken for it."""
    if not 0 <= plain_length <= limit:
        raise BadNode(f"a node of {plain_length} bytes is beyond the limit of {limit}")
    if enc in (AGAINST, SCRIPT) and base is None:
        raise BadNode(f"encoding {enc} needs its base")
    if enc == PLAIN:
        plain = bytes(payload)
    elif enc == ZSTD:
        plain = _decompress(payload, plain_length)
    elif enc == AGAINST:
        plain = _decompress(payload, plain_length, base)
    elif enc == SCRIPT:
        plain = _played(_decompress(payload, plain_length, at_most=True), base or b"", plain_length)
    else:
        raise BadNode(f"there is no encoding {enc}")
    if len(plain) != plain_length:
        raise BadNode(f"a node of {plain_length} bytes holds {len(plain)}")
    return plain


def fingerprints(plain: bytes) -> bytes:
    """Eight bytes for each piece of about 1 KiB: its length and a hash."""
    return b"".join([_print(plain[start:end]) for start, end in pairwise(_edges(plain))])


def copy_ops(plain: bytes, old: bytes) -> bytes | None:
    """The script that makes `plain` of the bytes with the fingerprints `old`; None when it saves nothing.

    Two pieces with one fingerprint make a wrong script: its result has not the name it should, and the node
    is sent in another way.
    """
    script = _written(_matched(plain, old), plain)
    return script if len(script) < len(plain) else None


# ----------------------------------------------------------------------- zstd


def _dictionary(base: bytes | None) -> Any:
    import zstandard  # here, since it takes 10 ms and an agent's start need not wait for it

    return base and zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT)


def _compress(plain: bytes, base: bytes | None = None) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(level=LEVEL, dict_data=_dictionary(base) or None).compress(plain)


def _decompress(payload: bytes, length: int, base: bytes | None = None, at_most: bool = False) -> bytes:
    """One frame that declares this length (a script may be shorter): the library believes the frame alone."""
    import zstandard

    try:
        if payload[:4] != zstandard.FRAME_HEADER:
            raise BadNode("this is no zstd frame")
        frame = zstandard.get_frame_parameters(payload)
        if frame.content_size > length or (frame.content_size < length and not at_most):
            raise BadNode(f"the frame does not declare the {length} bytes that it should hold")
        if frame.window_size > WINDOW or frame.dict_id:
            raise BadNode("the frame asks for a window over 8 MiB or for a dictionary of its own")
        unpacker = zstandard.ZstdDecompressor(dict_data=_dictionary(base) or None)
        return unpacker.decompress(payload, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise BadNode(f"the frame is damaged: {error}") from None


# --------------------------------------------------------------------- scripts


def _played(script: bytes, base: bytes, length: int) -> bytes:
    steps, at = _steps(script, base, length)
    parts = []
    for offset, size in steps:
        if offset is None:
            parts.append(script[at : at + size])
            at += size
        else:
            parts.append(base[offset : offset + size])
    if at != len(script):
        raise BadNode("a script has not the new bytes that it names")
    return b"".join(parts)


def _steps(script: bytes, base: bytes, length: int) -> tuple[list[tuple[int | None, int]], int]:
    """The steps that make exactly `length` bytes out of what is there, and where the new bytes begin."""
    steps: list[tuple[int | None, int]] = []
    at = made = new = 0
    while made < length:
        kind = script[at : at + 1]
        offset, at = _number(script, at + 1) if kind == b"\1" else (None, at + 1)
        size, at = _number(script, at)
        made += size
        if kind not in (b"\0", b"\1") or size < 1 or (offset is not None and offset + size > len(base)):
            raise BadNode("a script has a step that cannot be")
        new += size if offset is None else 0
        steps.append((offset, size))
    if made != length or at + new != len(script):
        raise BadNode(f"a script does not make the {length} bytes that it should")
    return steps, at


def _number(script: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 49, 7):
        if at >= len(script):
            break
        byte = script[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise BadNode("a script has a number without an end")


def _written(steps: list[list[int]], plain: bytes) -> bytes:
    """Steps are start, end and offset in the base, or -1 for what is new."""
    ops, new = bytearray(), bytearray()
    for start, end, offset in steps:
        if offset < 0:
            ops += b"\0" + varint(end - start)
            new += plain[start:end]
        else:
            ops += b"\1" + varint(offset) + varint(end - start)
    return bytes(ops + new)


# ---------------------------------------------------------------- fingerprints


def _matched(plain: bytes, old: bytes) -> list[list[int]]:
    """Pieces found again, as long as they follow one another in one step; the first place wins otherwise."""
    there = dict(_places(old))
    first = {mark: offset for offset, mark in reversed(there.items())}
    steps: list[list[int]] = []
    for start, end in pairwise(_edges(plain)):
        mark = _print(plain[start:end])
        last = steps[-1] if steps else [0, 0, -1]
        follows = last[2] + last[1] - last[0]
        offset = first.get(mark, -1)
        known = last[2] >= 0
        if there.get(follows) == mark if known else steps and offset < 0:
            last[1] = end
        else:
            steps.append([start, end, offset])
    return steps


def _places(old: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    for at in range(0, len(old) - PRINT + 1, PRINT):
        yield offset, old[at : at + PRINT]
        offset += int.from_bytes(old[at : at + 2], "big")


def _print(piece: bytes) -> bytes:
    return len(piece).to_bytes(2, "big") + blake2b(piece, digest_size=PRINT - 2).digest()


def _edges(plain: bytes) -> list[int]:
    """Where pieces begin and end; a stretch that has no such line is cut every 1 KiB from its start."""
    edges = [0]
    for mark in [*_marks(plain), len(plain)]:
        last = edges[-1]
        if mark - last < SHORT and mark < len(plain):
            continue
        if mark - last > LONG:
            edges += range(last + PIECE, mark, PIECE)
        if mark > edges[-1]:
            edges.append(mark)
    return edges


def _marks(plain: bytes) -> list[int]:
    """Ends of the lines that end a piece: the longer a line the likelier, once in 1 KiB."""
    lines = plain.split(b"\n")
    sizes = [len(line) + 1 for line in lines]
    found = zip(map(crc32, lines), sizes, accumulate(sizes), strict=True)
    return [end for mark, size, end in found if mark * PIECE < size << 32 and end < len(plain)]
