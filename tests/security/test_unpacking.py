"""Bombs: what is small on the wire and large in memory is refused before it is unpacked."""

from __future__ import annotations

import time
import tracemalloc

import pytest
import zstandard

from agents.models import Project
from tests.builders import Wire, action, make_token

pytestmark = pytest.mark.django_db
MB = 1024 * 1024


@pytest.fixture
def wire(project: Project) -> Wire:
    wire = Wire(make_token(project))
    wire.register()
    return wire


def send(wire: Wire, body: bytes, encoding: str = "zstd") -> int:
    return wire.post("/api/v1/events/", body, **{"Content-Encoding": encoding}).status_code


def packed(plain: bytes, *, declared: bool = True) -> bytes:
    compressor = zstandard.ZstdCompressor(level=3, write_content_size=declared)
    if declared:
        return compressor.compress(plain)
    streaming = compressor.compressobj()
    return streaming.compress(plain) + streaming.flush()


@pytest.mark.parametrize("declared", [True, False])
def test_a_packed_batch_is_taken(wire: Wire, declared: bool) -> None:
    """zstd is the usual way, with its size declared or not."""
    assert send(wire, packed(wire.batch(action()), declared=declared)) == 200


@pytest.mark.parametrize("declared", [True, False])
def test_a_bomb_is_413_and_costs_no_memory(wire: Wire, declared: bool) -> None:
    """A few kilobytes that would be 500 MB never become them."""
    bomb = packed(b"\0" * (500 * MB), declared=declared)
    tracemalloc.start()
    try:
        assert send(wire, bomb) == 413
        assert tracemalloc.get_traced_memory()[1] < 64 * MB
    finally:
        tracemalloc.stop()


def lying(bomb: bytes, size: int) -> bytes:
    """The frame with another declared size."""
    assert bomb[4] & 0b1110_0000 == 0b1000_0000  # a window's byte, then a size of 4 bytes
    return bomb[:6] + size.to_bytes(4, "little") + bomb[10:]


@pytest.mark.parametrize("size", [10, 2**32 - 1])
def test_a_size_that_lies_is_refused(wire: Wire, size: int) -> None:
    """What a frame declares is checked, and not believed."""
    assert send(wire, lying(packed(b"\0" * (100 * MB)), size)) in (413, 422)


@pytest.mark.parametrize(
    "body",
    [b"", b"\x28\xb5\x2f\xfd", b"not zstd", packed(b"x" * 1000)[:-3], b"\x50\x2a\x4d\x18\xff\xff\xff\xff"],
)
def test_broken_frames_are_refused(wire: Wire, body: bytes) -> None:
    """A frame that cannot be read is named, never a 500."""
    assert send(wire, body) in (413, 422)


def test_a_window_of_a_gigabyte_is_refused(wire: Wire) -> None:
    """A frame may not ask for more memory than a batch can need."""
    parameters = zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
    streaming = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    body = streaming.compress(wire.batch(action()) + b" " * MB) + streaming.flush()
    assert send(wire, body) == 422


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd, zstd", "deflate"])
def test_other_encodings_are_415(wire: Wire, encoding: str) -> None:
    """What we do not unpack cannot be a bomb."""
    assert send(wire, b"\x1f\x8b\x08", encoding) == 415


def test_a_batch_of_bottomless_lines_costs_little_time(wire: Wire) -> None:
    """Brackets are counted before anything is built."""
    batch = wire.batch(*[b"[" * 60_000] * 100, *[b"[" + b"[]," * 20_000 + b"1]"] * 30)
    started = time.process_time()
    answer = wire.post("/api/v1/events/", batch)
    assert len(answer.json()["quarantined"]) == 130
    assert time.process_time() - started < 3
