"""One page of shared memory that outlives kill -9: which run lives, what it is doing, how far was sent.

The page is a mapped file, so a write is a memory write: no system call, no lock, no waiting, and the kernel
keeps it when the process dies. Power loss may lose the last seconds of it; what depends on it then only
repeats (an old cursor resends) or speaks up (a run that seems to live is reported as vanished).

    0 magic   8 live   16 run (32 hex)   48 dropped   56 dropped in forked children
    64 cursor: segment   72 cursor: offset   80 length and text of what is in flight
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import struct
from pathlib import Path

SIZE = 4096
MAGIC = b"SICKBAY1"
TEXT = 400
_LONG = struct.Struct("<Q")
_CURSOR = struct.Struct("<QQ")
_SHORT = struct.Struct("<H")

log = logging.getLogger("sickbay")


class Mark:
    """The page; plain memory when the disk has no room for it."""

    def __init__(self, path: Path) -> None:
        self._page: mmap.mmap | bytearray = _mapped(path) or bytearray(MAGIC.ljust(SIZE, b"\0"))
        if self._page[:8] != MAGIC:
            self._page[:SIZE] = MAGIC.ljust(SIZE, b"\0")

    def live(self, run: str) -> None:
        """The run has something on disk: from now on its death is noticed."""
        self._page[16:48] = run.encode("ascii", "replace")[:32].ljust(32, b" ")
        self.doing(None)
        self._page[8] = 1
        self.flush()

    def ended(self) -> None:
        self._page[8] = 0
        self.flush()

    @property
    def living(self) -> str | None:
        """The run that began here and did not end."""
        return bytes(self._page[16:48]).decode("ascii", "replace").strip() if self._page[8] else None

    def doing(self, text: str | None) -> None:
        raw = text.encode("utf-8", "replace")[:TEXT] if text else b""
        self._page[80 : 82 + len(raw)] = _SHORT.pack(len(raw)) + raw

    @property
    def in_flight(self) -> str | None:
        length = min(TEXT, _SHORT.unpack_from(self._page, 80)[0])
        return bytes(self._page[82 : 82 + length]).decode("utf-8", "replace") or None

    @property
    def dropped(self) -> int:
        return int(_LONG.unpack_from(self._page, 48)[0])

    @dropped.setter
    def dropped(self, count: int) -> None:
        _LONG.pack_into(self._page, 48, count)

    @property
    def dropped_in_children(self) -> int:
        return int(_LONG.unpack_from(self._page, 56)[0])

    @dropped_in_children.setter
    def dropped_in_children(self, count: int) -> None:
        _LONG.pack_into(self._page, 56, count)

    @property
    def cursor(self) -> tuple[int, int]:
        """Segment and offset up to which the server has acknowledged."""
        segment, offset = _CURSOR.unpack_from(self._page, 64)
        return int(segment), int(offset)

    @cursor.setter
    def cursor(self, at: tuple[int, int]) -> None:
        _CURSOR.pack_into(self._page, 64, *at)

    def flush(self) -> None:
        if isinstance(self._page, mmap.mmap):
            with contextlib.suppress(OSError):
                self._page.flush()

    def close(self) -> None:
        if isinstance(self._page, mmap.mmap):
            self.flush()
            page, self._page = self._page, bytearray(self._page[:SIZE])
            page.close()


def _mapped(path: Path) -> mmap.mmap | None:
    fd = -1
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if os.fstat(fd).st_size != SIZE:
            # Real blocks, not a hole: a write into a mapped hole on a full disk would be a SIGBUS.
            os.ftruncate(fd, 0)
            if os.write(fd, MAGIC.ljust(SIZE, b"\0")) != SIZE:
                return None
            os.fsync(fd)
        return mmap.mmap(fd, SIZE)
    except (OSError, ValueError) as error:
        log.warning("sickbay: %s is kept in memory only: %s", path, error)
        return None
    finally:
        if fd >= 0:
            os.close(fd)
