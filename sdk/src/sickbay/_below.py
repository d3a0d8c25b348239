"""Files below a directory that is held open: no step follows a link, so that no swapped parent leads outside.

Paths are bytes with "/" between names, relative to that directory; every name on the way is opened by itself.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from sickbay.tree.files import ONE, joined, parts_of
from sickbay.tree.node import BYTES, name_of

DIRECTORY = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
READ = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
BLOCK = 1 << 20
GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)

Seen = tuple[int, int, int]


class Below:
    """The directory `root`, and the one below it that was used last."""

    def __init__(self, root: int) -> None:
        self.root = root
        self._path, self._fd = b"", root

    def close(self) -> None:
        """Let go of the directory that was used last, not of the root."""
        if self._fd != self.root:
            os.close(self._fd)
        self._path, self._fd = b"", self.root

    def directory(self, path: bytes, *, make: bool = False) -> int:
        """An open directory, until another is asked for."""
        if path != self._path:
            self.close()
            self._fd, self._path = self._opened(path, make), path
        return self._fd

    def parent(self, path: bytes) -> tuple[int, bytes]:
        """The open directory of a file, and the file's name in it."""
        head, _, name = path.rpartition(b"/")
        return self.directory(head), name

    def stat(self, path: bytes) -> os.stat_result | None:
        """What is there, None when there is nothing."""
        try:
            directory, name = self.parent(path)
            return os.stat(name, dir_fd=directory, follow_symlinks=False)
        except OSError as error:
            if error.errno in GONE:
                return None
            raise

    def _opened(self, path: bytes, make: bool) -> int:
        fd = os.dup(self.root)
        for name in path.split(b"/") if path else ():
            try:
                if make:
                    made(name, fd)
                inner = os.open(name, DIRECTORY, dir_fd=fd)
            finally:
                os.close(fd)
            fd = inner
        return fd


def made(name: bytes, directory: int, mode: int = 0o700) -> None:
    """Make a directory unless it is there."""
    try:
        os.mkdir(name, mode, dir_fd=directory)
    except FileExistsError:
        if not stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            raise


def seen(found: os.stat_result) -> Seen:
    """By which a file is known again; ctime is not in it, since a second name for it moves that."""
    return found.st_ino, found.st_size, found.st_mtime_ns


def is_executable(found: os.stat_result) -> bool:
    return bool(found.st_mode & stat.S_IXUSR)


def content_name(name: bytes, directory: int) -> bytes:
    """The name in the tree of a file's content."""
    fd = os.open(name, READ, dir_fd=directory)
    try:
        size = os.fstat(fd).st_size
        if size <= ONE:
            return name_of(BYTES + b"".join(_blocks(fd)))
        parts = ((len(part), name_of(BYTES + part)) for part in parts_of(_blocks(fd)))
        return joined(parts, lambda plain, items, length: name_of(plain))
    finally:
        os.close(fd)


def _blocks(fd: int) -> Iterator[bytes]:
    while block := os.read(fd, BLOCK):
        yield block


def removed_tree(name: bytes, directory: int) -> None:
    """Remove what is named so, whatever it is, without following a link."""
    try:
        fd = os.open(name, DIRECTORY, dir_fd=directory)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in GONE:
            raise
        os.unlink(name, dir_fd=directory)
        return
    try:
        for inner in os.listdir(fd):
            removed_tree(os.fsencode(inner), fd)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=directory)
