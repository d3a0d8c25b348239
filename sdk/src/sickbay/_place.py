"""A workspace that is held open, with Sickbay's own directory in it.

    .sickbay/mark            says which workspace this is; not there: it is not mounted, or it is another
    .sickbay/.gitignore      of all of it, so that neither `git add -A` nor `git clean` takes it
    .sickbay/stage/<id>/     files of a restore that is being prepared
    .sickbay/journal         the plan of a restore that has begun
    .sickbay/aside/<id>/     what a restore found that no checkpoint has

Whoever restores holds `.sickbay` locked, so that two processes with one workspace cannot both.
"""

from __future__ import annotations

import contextlib
import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

from sickbay._below import DIRECTORY, READ, WRITE, Below, made
from sickbay._errors import RestoreRefused
from sickbay._names import OWN

if sys.platform != "win32":
    import fcntl

MARK = b"mark"
CAN = os.rename in os.supports_dir_fd and os.scandir in os.supports_fd


class Place:
    """The workspace, and its `.sickbay`, by open directories."""

    def __init__(self, workspace: Path, root: int, own: int) -> None:
        self.workspace, self.fd, self.own_fd = workspace, root, own
        self.files, self.own = Below(root), Below(own)
        self.device = os.fstat(root).st_dev

    def close(self) -> None:
        self.files.close()
        self.own.close()
        os.close(self.own_fd)
        os.close(self.fd)

    @property
    def mark(self) -> str | None:
        """Which workspace this is."""
        try:
            fd = os.open(MARK, READ, dir_fd=self.own_fd)
        except FileNotFoundError:
            return None
        with open(fd, "rb") as file:
            return file.read(64).decode("ascii", "replace") or None

    def marked(self) -> str:
        """The mark, made where there is none."""
        mark = self.mark
        if mark is None:
            mark = uuid.uuid4().hex
            written(b".gitignore", b"*\n", self.own_fd)
            written(b"mark.new", mark.encode(), self.own_fd)
            os.rename(b"mark.new", MARK, src_dir_fd=self.own_fd, dst_dir_fd=self.own_fd)
        return mark


@contextlib.contextmanager
def held(workspace: Path, mark: str | None = None) -> Iterator[Place]:
    """The workspace, locked; RestoreRefused when it is not there or not the one with this mark."""
    if not CAN:
        raise RestoreRefused("files can be restored on Linux and macOS only")
    place = _opened(workspace, mark)
    try:
        try:
            fcntl.flock(place.own_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RestoreRefused(f"{workspace} is being restored by another process") from None
        if mark is not None and place.mark != mark:
            raise RestoreRefused(
                f"{workspace} is not the workspace that was checkpointed",
                what_to_do="is its disk mounted, and is it the right one?",
            )
        yield place
    finally:
        place.close()


def _opened(workspace: Path, mark: str | None) -> Place:
    try:
        # The path itself is the user's word: links in it are followed, as everywhere else.
        root = os.open(workspace, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    except OSError as error:
        raise RestoreRefused(
            f"{workspace} cannot be opened ({error.strerror})", what_to_do="is its disk mounted?"
        ) from None
    try:
        if mark is None:
            made(OWN, root)
        return Place(workspace, root, os.open(OWN, DIRECTORY, dir_fd=root))
    except OSError as error:
        os.close(root)
        raise RestoreRefused(
            f"{workspace}/.sickbay cannot be used ({error.strerror})",
            what_to_do="is the disk of the workspace mounted?"
            if mark
            else "it must be a directory of its own",
        ) from None


def written(name: bytes, content: bytes, directory: int) -> None:
    """A small file, whole and on the disk before this returns; an old one of that name goes."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)
    fd = os.open(name, WRITE, 0o600, dir_fd=directory)
    with open(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(fd)
