"""Reads one file of a workspace so that nobody can lead it elsewhere, and notices what changes meanwhile.

Directories are opened from the root, name by name, and no link is followed: a directory that is swapped for a
link fails to open. A file is looked at before and after it is read; when it changed, it is read again, three
times in all. The last reading of a file that is being written all the time counts, with a note.
"""

from __future__ import annotations

import errno
import os
import stat
from bisect import bisect
from collections.abc import Iterator

from sickbay._folder import Emit, Found, Kept, Stamp, stamp_of
from sickbay.tree import files
from sickbay.tree.directory import EXECUTABLE, PLAIN_FILE, SYMLINK, TARGET_LIMIT
from sickbay.tree.node import BYTES, HASH, name_of

TRIES = 3
BLOCK = 1 << 17  # bytes read at once
TICK, COARSE = 20_000_000, 2_000_000_000  # ns in which a later write may bear the same time
DIRECTORIES = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILES = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
SWAPPED = (errno.ELOOP, errno.ENOTDIR, errno.ENXIO)


class LeftOut(Exception):
    """This path is not part of the snapshot; the sentence says why."""


class Reading:
    """The readings of one snapshot. `torn` names the files that changed each time they were read."""

    def __init__(self, root: int, started: int, limit: int, emit: Emit) -> None:
        self._root, self._started, self._limit, self._emit = root, started, limit, emit
        self._open: tuple[str, int] = ("", root)
        self.torn: dict[str, Kept] = {}

    def close(self) -> None:
        if self._open[1] != self._root:
            os.close(self._open[1])
        self._open = ("", self._root)

    def read(self, path: str, filename: str, old: Kept | None) -> Kept | None:
        """What is there now; None when it is gone. LeftOut, or OSError, when it cannot be kept."""
        for last in (False,) * (TRIES - 1) + (True,):
            try:
                kept = self._once(path, filename, old, last)
            except FileNotFoundError:
                return None
            except OSError as error:
                if last or error.errno not in SWAPPED:
                    raise
                continue  # a link or a pipe took its place, or a directory's, just now
            if kept:
                break
        if kept and kept.stamp == _TORN:
            self.torn[path + filename] = kept
        return kept

    def directory(self, path: str) -> int:
        """The descriptor of a directory of the workspace, valid until the next call."""
        if self._open[0] != path:
            self.close()
            self._open = (path, opened(self._root, path))
        return self._open[1]

    def _once(self, path: str, filename: str, old: Kept | None, last: bool) -> Kept | None:
        """One reading; None when it changed meanwhile and another try is left."""
        directory = self.directory(path)
        status = os.stat(filename, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            return self._link(directory, path, filename, stamp_of(status))
        if not stat.S_ISREG(status.st_mode):
            raise LeftOut(special(status.st_mode))
        file = os.open(filename, FILES, dir_fd=directory)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise LeftOut(special(status.st_mode))
            if status.st_size > self._limit:
                raise LeftOut(too_large(status.st_size, self._limit))
            read = self._small if status.st_size <= files.ONE else self._large
            return read(file, stamp_of(status), old, last)
        finally:
            os.close(file)

    def _link(self, directory: int, path: str, filename: str, stamp: Stamp) -> Kept | None:
        target = os.fsencode(os.readlink(filename, dir_fd=directory))
        judge_link(path, target)
        status = os.stat(filename, dir_fd=directory, follow_symlinks=False)
        if stamp_of(status) != stamp:
            return None
        return Kept(stamp, SYMLINK, 0, b"", target, racy=self._racy(stamp))

    def _small(self, file: int, stamp: Stamp, old: Kept | None, last: bool) -> Kept | None:
        data = b"".join(_blocks(file, 0, stamp[2]))
        is_torn = len(data) != stamp[2] or stamp_of(os.fstat(file)) != stamp
        if is_torn and not last:
            return None
        name = self._put(BYTES + data, 0, 0, old)
        return self._kept(stamp, is_torn, len(data), name)

    def _large(self, file: int, stamp: Stamp, old: Kept | None, last: bool) -> Kept | None:
        parts, at = _head(file, stamp[2], old)
        for part in files.parts_of(_blocks(file, at, stamp[2])):
            parts.append((len(part), self._put(BYTES + part, 0, at, old)))
            at += len(part)
        is_torn = at != stamp[2] or stamp_of(os.fstat(file)) != stamp
        if is_torn and not last:
            return None
        if at <= files.ONE:
            raise LeftOut("shrinks while it is read, time and again")
        groups: list[bytes] = []

        def emit(plain: bytes, items: int, length: int) -> bytes:
            name = name_of(plain)
            groups.append(name)
            self._emit(Found(name, plain, items, length))
            return name

        name = files.joined(parts, emit)
        return self._kept(stamp, is_torn, at, name, tuple(parts), tuple(groups))

    def _put(self, plain: bytes, items: int, at: int, old: Kept | None) -> bytes:
        name = name_of(plain)
        self._emit(Found(name, plain, items, len(plain) - 2, _base(old, at)))
        return name

    def _kept(
        self,
        stamp: Stamp,
        is_torn: bool,
        size: int,
        name: bytes,
        parts: tuple[tuple[int, bytes], ...] = (),
        groups: tuple[bytes, ...] = (),
    ) -> Kept:
        kind = EXECUTABLE if stamp[4] & stat.S_IXUSR else PLAIN_FILE
        known = _TORN if is_torn else stamp
        return Kept(known, kind, size, name, b"", parts, groups, is_torn or self._racy(stamp))

    def _racy(self, stamp: Stamp) -> bool:
        """A write after this reading may bear the same times."""
        tick = TICK if stamp[0] % 1_000_000_000 else COARSE
        return max(stamp[:2]) >= self._started - tick


_TORN: Stamp = (0, 0, 0, 0, 0)  # no file's: it is read again next time


def opened(root: int, path: str) -> int:
    """A directory of the workspace, opened name by name; to be closed."""
    at = os.dup(root)
    for name in path.split("/")[:-1]:
        try:
            below = os.open(name, DIRECTORIES, dir_fd=at)
        finally:
            os.close(at)
        at = below
    return at


def read_again(root: int, path: str, filename: str, at: int, length: int) -> bytes:
    """Bytes of a file that was read before; as many as are there."""
    directory = opened(root, path)
    try:
        file = os.open(filename, FILES, dir_fd=directory)
        try:
            return b"".join(_blocks(file, at, at + length))
        finally:
            os.close(file)
    finally:
        os.close(directory)


def is_still(file: int, kept: Kept, turn: int) -> bool:
    """Whether one part of a file, another each turn, has the bytes that it had."""
    place = turn % len(kept.parts)
    length, name = kept.parts[place]
    at = sum(length for length, _ in kept.parts[:place])
    return name_of(_plain(file, at, length)) == name


def _blocks(file: int, at: int, end: int) -> Iterator[bytes]:
    """The bytes from here to there, or fewer when the file is shorter."""
    while at < end and (block := os.pread(file, min(BLOCK, end - at), at)):
        yield block
        at += len(block)


def _head(file: int, size: int, old: Kept | None) -> tuple[list[tuple[int, bytes]], int]:
    """The parts that a large file still begins with, and where they end.

    The cut goes on from there as if it came from the start: inside a long line only the first 4 KiB could be
    items of other sizes, and no part ends so soon. The last part ended with the file, and only counts there.
    """
    parts, at = old.parts if old else (), 0
    for place, (length, name) in enumerate(parts):
        is_last = place == len(parts) - 1
        if (is_last and at + length != size) or name_of(_plain(file, at, length)) != name:
            return list(parts[:place]), at
        at += length
    return list(parts), at


def _plain(file: int, at: int, length: int) -> bytes:
    """The node of these bytes, or of fewer when the file is shorter."""
    return BYTES + b"".join(_blocks(file, at, at + length))


def _base(old: Kept | None, at: int) -> bytes:
    """The node that held the bytes at this place before."""
    if not old or len(old.name) != HASH:
        return b""
    if not old.parts:
        return old.name if at < old.size else b""
    starts, start = [], 0
    for length, _ in old.parts:
        starts.append(start)
        start += length
    return old.parts[bisect(starts, at) - 1][1]


def judge_link(path: str, target: bytes) -> None:
    """LeftOut when a link in this directory leads out of the workspace, by its letters."""
    if not 0 < len(target) <= TARGET_LIMIT:
        raise LeftOut("is a link without a target")
    depth = path.count("/")
    for place, name in enumerate(target.split(b"/")):
        if name == b"" and place == 0:
            depth = -1
        elif name == b"..":
            depth -= 1
        elif name not in (b"", b"."):
            depth += 1
        if depth < 0:
            raise LeftOut("is a link that leads out of the workspace")


def special(mode: int) -> str:
    """What it is, when it is neither file, link nor directory."""
    for test, noun in ((stat.S_ISFIFO, "named pipe"), (stat.S_ISSOCK, "socket"), (stat.S_ISDIR, "directory")):
        if test(mode):
            return f"is a {noun}"
    return "is a device"


def too_large(size: int, limit: int) -> str:
    return f"has {size:,} bytes, and the limit of one file is {limit:,}"
