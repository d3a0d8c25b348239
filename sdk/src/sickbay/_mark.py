"""One page of shared memory that outlives kill -9: which run lives, what it is doing, how far was sent.

The page is a mapped file, so a write is a memory write: no system call, no lock, no waiting, and the kernel
keeps it when the process dies. Power loss may lose the last seconds of it; what depends on it then only
repeats (an old cursor resends) or speaks up (a run that seems to live is reported as vanished).

    0 magic   8 live   16 run (32 hex)   64 cursor: segment, offset   528 what is in flight: length, text
    496 dropped   504 dropped in forked children   512 and 520 how many of each were told
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
AT, TEXT = 528, 3000
_LONG = struct.Struct("<Q")
_CURSOR = struct.Struct("<QQ")
_SHORT = struct.Struct("<H")


class _Count:
    """A number on the page. It only grows."""

    def __init__(self, offset: int) -> None:
        self._offset = offset

    def __get__(self, mark: Mark, owner: object = None) -> int:
        return int(_LONG.unpack_from(mark.page, self._offset)[0])

    def __set__(self, mark: Mark, count: int) -> None:
        _LONG.pack_into(mark.page, self._offset, count)


log = logging.getLogger("sickbay")


class Mark:
    """The page; plain memory when the disk has no room for it."""

    dropped = _Count(496)
    dropped_in_children = _Count(504)
    told = _Count(512)
    told_of_children = _Count(520)

    def __init__(self, path: Path) -> None:
        self.page: mmap.mmap | bytearray = _mapped(path) or bytearray(MAGIC.ljust(SIZE, b"\0"))
        if self.page[:8] != MAGIC:
            self.page[:SIZE] = MAGIC.ljust(SIZE, b"\0")

    def live(self, run: str) -> None:
        """The run has something on disk: from now on its death is noticed."""
        self.page[16:48] = run.encode("ascii", "replace")[:32].ljust(32, b" ")
        self.doing(None)
        self.page[8] = 1
        self.flush()

    def ended(self) -> None:
        self.page[8] = 0
        self.flush()

    @property
    def living(self) -> str | None:
        """The run that began here and did not end."""
        return bytes(self.page[16:48]).decode("ascii", "replace").strip() if self.page[8] else None

    def doing(self, text: str | None) -> None:
        raw = text.encode("utf-8", "replace")[:TEXT] if text else b""
        self.page[AT : AT + 2 + len(raw)] = _SHORT.pack(len(raw)) + raw

    @property
    def in_flight(self) -> str | None:
        length = min(TEXT, _SHORT.unpack_from(self.page, AT)[0])
        return bytes(self.page[AT + 2 : AT + 2 + length]).decode("utf-8", "replace") or None

    @property
    def is_all_told(self) -> bool:
        """Whether nothing was dropped that no signal has told yet."""
        return self.page[496:512] == self.page[512:528]

    @property
    def cursor(self) -> tuple[int, int]:
        """Segment and offset up to which the server has acknowledged."""
        segment, offset = _CURSOR.unpack_from(self.page, 64)
        return int(segment), int(offset)

    @cursor.setter
    def cursor(self, at: tuple[int, int]) -> None:
        _CURSOR.pack_into(self.page, 64, *at)

    def flush(self) -> None:
        if isinstance(self.page, mmap.mmap):
            with contextlib.suppress(OSError):
                self.page.flush()

    def close(self) -> None:
        if isinstance(self.page, mmap.mmap):
            self.flush()
            page, self.page = self.page, bytearray(self.page[:SIZE])
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
