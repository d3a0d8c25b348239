"""The encodings of a node: the same bytes back, or a sentence, and never more memory than was agreed."""

from __future__ import annotations

import contextlib
import random
import tracemalloc

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from sickbay.tree import pack as packing
from sickbay.tree.pack import AGAINST, PLAIN, SCRIPT, ZSTD, BadNode, copy_ops, fingerprints, pack, unpack

MB = 1024 * 1024
LIMIT = 2 * MB


def lines(seed: int, count: int) -> list[bytes]:
    rng = random.Random(seed)
    return [b"    value_%d = compute(%d, %d)\n" % tuple(rng.choices(range(9999), k=3)) for _ in range(count)]


OLD = b"".join(lines(1, 1200))
NOISE = random.Random(2).randbytes(40_000)


def changed(old: bytes, at: int, drop: int, put: bytes) -> bytes:
    return old[:at] + put + old[at + drop :]


@st.composite
def neighbours(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Some bytes, and the same after a few edits."""
    old = draw(
        st.sampled_from([OLD, NOISE, OLD[:2000], b"", b"a" * 9000, b"\n" * 3000]) | st.binary(max_size=900)
    )
    new = old
    for _ in range(draw(st.integers(0, 4))):
        at, drop = draw(st.integers(0, len(new))), draw(st.integers(0, 3000))
        new = changed(new, at, drop, draw(st.binary(max_size=40)))
    return old, new


@given(neighbours())
def test_every_encoding_gives_the_bytes_back(pair: tuple[bytes, bytes]) -> None:
    """Packed alone, against a base, or as a script, a node is unpacked to the same bytes."""
    old, new = pair
    script = copy_ops(new, fingerprints(old))
    for base, ops in ((None, None), (old, None), (None, script), (old, script)):
        enc, payload = pack(new, base, ops)
        assert unpack(enc, payload, len(new), old, LIMIT) == new
    if script is not None:
        assert unpack(SCRIPT, packing._compress(script), len(new), old, LIMIT) == new
    assert unpack(AGAINST, packing._compress(new, old), len(new), old, LIMIT) == new


def test_the_cheapest_encoding_is_taken() -> None:
    """A few bytes stay plain, text is compressed, a changed copy is a delta."""
    assert pack(b"abc") == (PLAIN, b"abc")
    assert pack(NOISE)[0] == PLAIN
    assert pack(OLD)[0] == ZSTD
    enc, payload = pack(changed(OLD, 9000, 20, b"something else"), OLD)
    assert enc == AGAINST
    assert len(payload) < 100
    assert pack(OLD, NOISE)[0] == ZSTD


@pytest.mark.parametrize(
    "new",
    [
        changed(OLD, 20_000, 20, b"changed\nand more\n"),
        changed(OLD, 0, 0, b"a line at the start\n"),
        OLD + b"and one more\n",
        changed(changed(OLD, 30_000, 400, b""), 5_000, 0, b"two edits\n"),
    ],
)
def test_an_edited_file_is_a_small_script_without_the_old_bytes(new: bytes) -> None:
    """Of 40 KB with an edit, a script carries the pieces around the edits and no others."""
    script = copy_ops(new, fingerprints(OLD))
    assert script is not None
    assert len(script) < 12_000
    enc, payload = pack(new, script=script)
    assert enc == SCRIPT
    assert len(payload) < len(pack(new)[1]) / 2


def test_bytes_without_lines_are_found_again_in_place() -> None:
    """A block overwritten in a binary file costs the pieces that it touches."""
    script = copy_ops(changed(NOISE, 10_000, 2048, b"x" * 2048), fingerprints(NOISE))
    assert script is not None
    assert len(script) < 10_000
    assert copy_ops(OLD, fingerprints(NOISE)) is None


def test_fingerprints_are_one_percent() -> None:
    """Eight bytes for about a kilobyte, and the pieces are all of the bytes."""
    for plain in (OLD, NOISE, b"x" * MB, b"}\n" * 20_000):
        prints = fingerprints(plain)
        assert len(prints) <= len(plain) / 50
        assert sum(int.from_bytes(prints[at : at + 2], "big") for at in range(0, len(prints), 8)) == len(
            plain
        )


def test_a_bomb_takes_no_memory() -> None:
    """A frame that declares or holds more than was agreed is refused before it is unpacked."""
    bomb = zstandard.ZstdCompressor(level=3).compress(bytes(100 * MB))
    silent = zstandard.ZstdCompressor(level=3, write_content_size=False).compress(bytes(100 * MB))
    liar = bytearray(zstandard.ZstdCompressor(level=3).compress(bytes(200_000)))
    at = liar.index((200_000).to_bytes(4, "little"))
    liar[at : at + 4] = (1000).to_bytes(4, "little")
    tracemalloc.start()
    try:
        for payload in (bomb, silent, bytes(liar)):
            for enc in (ZSTD, AGAINST, SCRIPT):
                with pytest.raises(BadNode, match="frame"):
                    unpack(enc, payload, 1000, OLD, LIMIT)
        with pytest.raises(BadNode, match="beyond the limit"):
            unpack(ZSTD, bomb, 100 * MB, None, LIMIT)
        assert tracemalloc.get_traced_memory()[1] < MB
    finally:
        tracemalloc.stop()


def frame(plain: bytes, **options: bool) -> bytes:
    return zstandard.ZstdCompressor(level=3, **options).compress(plain)


WIDE = zstandard.ZstdCompressor(
    compression_params=zstandard.ZstdCompressionParameters(window_log=24, write_content_size=True)
).compress(bytes(17 * MB))


@pytest.mark.parametrize(
    ("enc", "payload", "length", "sentence"),
    [
        (PLAIN, b"abc", 4, "holds 3"),
        (ZSTD, b"", 3, "no zstd frame"),
        (ZSTD, b"\x28\xb5\x2f\xfd", 3, "damaged"),
        (ZSTD, frame(b"abc") + b"x", 3, "damaged"),
        (ZSTD, frame(b"abc") * 2, 3, "damaged"),
        (ZSTD, frame(b"abc")[:-1], 3, "damaged"),
        (ZSTD, b"\x50\x2a\x4d\x18\x03\0\0\0abc", 3, "no zstd frame"),
        (ZSTD, frame(b"abc"), 4, "does not declare the 4 bytes"),
        (ZSTD, WIDE, 17 * MB, "window"),
        (4, b"abc", 3, "no encoding 4"),
        (-1, b"abc", 3, "no encoding -1"),
        (PLAIN, b"abc", -1, "beyond the limit"),
    ],
)
def test_what_is_no_node_is_refused_with_a_sentence(
    enc: int, payload: bytes, length: int, sentence: str
) -> None:
    """Wrong lengths, broken frames and unknown encodings are told apart."""
    with pytest.raises(BadNode, match=sentence):
        unpack(enc, payload, length, None, 32 * MB)


@pytest.mark.parametrize("enc", [AGAINST, SCRIPT])
def test_a_delta_needs_its_base(enc: int) -> None:
    """Without its base a delta is refused."""
    with pytest.raises(BadNode, match="needs its base"):
        unpack(enc, frame(b"abc"), 3, None, LIMIT)


@pytest.mark.parametrize(
    "script",
    [
        b"\1\0\x0b",
        b"\1\x0a\1" + b"\0\x09ninebytes",
        b"\1\0\0" * 3,
        b"\2\0\x0a",
        b"\0\x0aninebytes",
        b"\0\x0aten bytes!!",
        b"\1\0\x80\x80",
        b"\1" + b"\x80" * 8,
        b"\0\x05",
        b"",
        b"\0\x80\x80\x80\x80\x80\x80\x01",
    ],
)
def test_a_script_stays_inside_its_base_and_its_length(script: bytes) -> None:
    """Copies beyond the base, empty steps, endless numbers and missing bytes are refused."""
    with pytest.raises(BadNode):
        unpack(SCRIPT, frame(script), 10, b"0123456789", LIMIT)


@given(st.binary(max_size=60), st.integers(0, 60), st.integers(0, 4))
def test_random_payloads_never_crash(payload: bytes, length: int, enc: int) -> None:
    """Whatever arrives gives the agreed number of bytes or BadNode, also inside a sound frame."""
    for given_payload in (payload, frame(payload)):
        with contextlib.suppress(BadNode):
            assert len(unpack(enc, given_payload, length, b"0123456789" * 5, 60)) == length
