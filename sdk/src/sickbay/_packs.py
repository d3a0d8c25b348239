"""Checkpoints on disk until the server has them, each in a file of its own.

    <home>/checkpoints/00000012.pack    waits; the header's line, then its records (tree.record)
                       00000012.part    being written; of no use after a death
                       00000012.aside   the server cannot take it

A pack appears by a rename, so it is whole or not there; one that power loss has torn is known by the size in
its header and goes. What waits is bounded: beyond LIMIT no checkpoint is taken, and the reason is said.
Without a server all of them stay: they are where a rollback finds what it needs.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import orjson

from sickbay._errors import SickbayError
from sickbay._failpoints import failpoint
from sickbay._lines import dumps
from sickbay._state import sync_directory
from sickbay.tree import record
from sickbay.tree.node import BadNode, varint
from sickbay.tree.record import Record

LIMIT = 1024**3
HEADER = 64 * 1024  # bytes kept free for the header in front of records that went to the disk before it
AT_HAND = 1024**2  # bytes of records that wait in memory for their header
READ_AT_ONCE = 1024**2


class PacksFull(SickbayError):
    """No room for another checkpoint; the message says why."""


class Packs:
    """The packs of one home: one writer, and the sender, who reads and lets go."""

    def __init__(self, directory: Path, *, limit: int = LIMIT) -> None:
        self.directory, self._limit = directory, limit
        self._lock = threading.Lock()
        self._unsynced: set[int] = set()
        self._sizes: dict[int, int] = {}
        self._last = self._total = 0
        self._found = False

    def waiting(self) -> list[int]:
        """The numbers of what the server has not, oldest first."""
        with self._lock:
            self._find()
            return sorted(self._sizes)

    @property
    def size(self) -> int:
        with self._lock:
            self._find()
            return self._total

    def draft(self) -> Draft:
        """A new pack, to be filled and kept."""
        with self._lock:
            self._find()
            room = self._limit - self._total
            if room <= 0:
                raise PacksFull(f"{self._total // 10**6:,} MB of checkpoints wait for the server already")
            self._last += 1
            return Draft(self, self._last, room)

    def header(self, number: int) -> dict[str, Any]:
        """What the pack says of its checkpoint; BadNode when it is no pack."""
        with self._open(number) as file:
            return _header(file, self._path(number))

    def records(self, number: int) -> Iterator[Record]:
        """The records of a pack, children before parents."""
        with self._open(number) as file:
            _header(file, self._path(number))
            while body := _one(file):
                yield from record.read(body)

    def let_go(self, number: int, *, aside: bool = False) -> None:
        """The server has it, or will never take it."""
        path = self._path(number)
        with contextlib.suppress(OSError):
            path.rename(path.with_suffix(".aside")) if aside else path.unlink()
        with self._lock:
            self._total -= self._sizes.pop(number, 0)
            self._unsynced.discard(number)

    def sync(self) -> None:
        """Make what was written survive power loss."""
        with self._lock:
            numbers, self._unsynced = self._unsynced, set()
        for number in numbers:
            with contextlib.suppress(OSError), self._open(number) as file:
                os.fsync(file.fileno())
        if numbers:
            sync_directory(self.directory)

    @property
    def is_dirty(self) -> bool:
        return bool(self._unsynced)

    def forked(self) -> None:
        self._lock = threading.Lock()

    def _find(self) -> None:
        """Once: what an earlier process left. What it was writing when it died goes."""
        if self._found:
            return
        self._found = True
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in self.directory.iterdir():
            if path.suffix == ".part":
                path.unlink(missing_ok=True)
            elif path.stem.isdigit():
                self._last = max(self._last, int(path.stem))
                if path.suffix == ".pack":
                    self._sizes[int(path.stem)] = path.stat().st_size
        self._total = sum(self._sizes.values())

    def _kept(self, number: int, size: int, *, synced: bool) -> None:
        with self._lock:
            self._sizes[number] = size
            self._total += size
            if not synced:
                self._unsynced.add(number)

    def _path(self, number: int) -> Path:
        return self.directory / f"{number:08}.pack"

    def _open(self, number: int) -> IO[bytes]:
        return self._path(number).open("rb")


class Draft:
    """A pack that is being written: first its records, then its header in front of them."""

    def __init__(self, packs: Packs, number: int, room: int) -> None:
        self.number = number
        self._packs, self._room = packs, room
        self._path = packs._path(number)
        self._part = self._path.with_suffix(".part")
        self._pieces: list[bytes] = []
        self._size = 0
        self._file: IO[bytes] | None = None

    def add(self, one: Record) -> None:
        body = record.write(one)
        self._pieces.append(body)
        self._size += len(body)
        if self._size > self._room:
            raise PacksFull(
                f"it needs more than the {self._room // 10**6:,} MB that are left for checkpoints"
            )
        if self._size > AT_HAND or self._file is not None:
            self._spill()

    def keep(self, header: dict[str, Any], *, sync: bool) -> None:
        """It is a pack from here on."""
        head = dumps({**header, "bytes": self._size})
        try:
            if self._file is None:
                text = b"".join((head, b"\n", *self._pieces))
                fd = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
                self._file = open(fd, "wb", buffering=0)  # noqa: SIM115
                if self._file.write(text) < len(text):
                    raise OSError("the disk took only a part of it")
            else:
                self._spill()
                self._file.flush()
                self._file.seek(0)
                self._file.write(head.ljust(HEADER - 1) + b"\n")
                self._file.flush()
            failpoint("pack:written")
            if sync:
                os.fsync(self._file.fileno())
            size = os.fstat(self._file.fileno()).st_size
        finally:
            self._close()
        os.rename(self._part, self._path)
        failpoint("pack:kept")
        if sync:
            sync_directory(self._path.parent)
        self._packs._kept(self.number, size, synced=sync)

    def drop(self) -> None:
        """Nothing of it is left."""
        self._close()
        with contextlib.suppress(OSError):
            self._part.unlink(missing_ok=True)

    def _spill(self) -> None:
        if self._file is None:
            fd = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            self._file = open(fd, "r+b")  # noqa: SIM115
            self._file.write(b" " * (HEADER - 1) + b"\n")
        self._file.write(b"".join(self._pieces))
        self._pieces.clear()

    def _close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()


def _header(file: IO[bytes], path: Path) -> dict[str, Any]:
    line = file.readline(HEADER + 1)
    try:
        header = orjson.loads(line)
        size = header.pop("bytes")
    except (ValueError, KeyError, AttributeError):
        raise BadNode(f"{path.name} is no pack") from None
    if not line.endswith(b"\n") or os.fstat(file.fileno()).st_size != len(line) + size:
        raise BadNode(f"{path.name} is torn")
    found: dict[str, Any] = header
    return found


def _one(file: IO[bytes]) -> bytes:
    """The bytes of the next record, with its length in front; empty at the end."""
    size = shift = 0
    while byte := file.read(1):
        size |= (byte[0] & 127) << shift
        shift += 7
        if byte[0] < 128:
            return varint(size) + file.read(size)
    return b""
