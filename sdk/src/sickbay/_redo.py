"""Doing what the plan says, once or again: the same steps lead to the same end wherever an attempt died.

Nothing here follows a link or leaves the workspace. What a human changed after the plan was written goes
aside. What cannot be done is said by its name, and the next attempt goes on.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable

from sickbay import _journal
from sickbay._below import DIRECTORY, GONE, READ, WRITE, Below, content_name, is_executable, made, seen
from sickbay._errors import RestoreUnfinished
from sickbay._failpoints import failpoint
from sickbay._journal import AWAY, DROP, HOLLOW, MAKE, PUT, Plan, Step
from sickbay._names import shown
from sickbay._place import Place
from sickbay._stage import ASIDE, OPEN_AT_ONCE, Stage, cleared, together
from sickbay.tree.directory import EXECUTABLE, SYMLINK


class Redo:
    """One attempt at a plan. `proven`: this process staged the files itself, a moment ago."""

    def __init__(self, place: Place, plan: Plan, stage: Stage, *, proven: bool) -> None:
        self._place, self._plan, self._stage, self._proven = place, plan, stage, proven
        self._files = place.files
        self._aside = Aside(place, plan.aside)
        self._touched: set[bytes] = set()
        self._retired = 0

    def run(self) -> None:
        """Every step, then the disk is asked to keep them, then the plan is no more."""
        verbs: dict[str, Callable[[Step], None]] = {
            AWAY: self._away,
            DROP: self._drop,
            HOLLOW: self._hollow,
            MAKE: self._make,
            PUT: self._put,
        }
        try:
            self._each(self._plan.of(PUT), self._ready)
            self._aside.take_over(self._stage)
            failpoint("restore:kept")
            for step in self._plan.steps:
                failpoint(f"restore:{step.op}")
                self._each([step], verbs[step.op])
            failpoint("restore:in_place")
            self._flush()
        finally:
            self._files.close()
            self._aside.close()
        failpoint("restore:flushed")
        _journal.remove(self._place)
        failpoint("restore:journal_gone")
        with contextlib.suppress(OSError):  # it is over; what is left of the stage goes next time
            cleared(self._place)

    def _each(self, steps: list[Step], verb: Callable[[Step], None]) -> None:
        for step in steps:
            try:
                verb(step)
            except OSError as error:
                raise RestoreUnfinished(
                    f"cannot be restored yet ({error.strerror or error})",
                    path=shown(step.path, 0),
                    what_to_do="make room for it; the restore goes on from here at the next start",
                ) from error

    # — the steps —

    def _ready(self, step: Step) -> None:
        """What is to be put is staged and whole, or stands in its place already."""
        if self._proven or self._stage.holds(step) or self._is_in_place(step) or self._stage.refill(step):
            return
        raise RestoreUnfinished(
            "is neither staged nor in its place any more",
            path=shown(step.path, 0),
            what_to_do="roll back again, to this checkpoint or another",
        )

    def _put(self, step: Step) -> None:
        staged = str(step.number).encode()
        if not self._proven and not _is_there(staged, self._stage.fd):
            return
        directory, name = self._files.parent(step.path)
        found = self._files.stat(step.path)
        if found is not None and stat.S_ISDIR(found.st_mode):
            os.rmdir(name, dir_fd=directory)
        elif found is not None and seen(found) != step.seen:
            self._aside.keep(self._files, step.path)
        if found is not None:
            self._retire(directory, name)
        os.rename(staged, name, src_dir_fd=self._stage.fd, dst_dir_fd=directory)
        self._touch(step)

    def _make(self, step: Step) -> None:
        directory, name = self._files.parent(step.path)
        made(name, directory, 0o777)
        self._touch(step)
        self._touched.add(step.path)

    def _drop(self, step: Step) -> None:
        found = self._found(step)
        if found is None or stat.S_ISDIR(found.st_mode):
            return
        if seen(found) != step.seen:
            self._aside.keep(self._files, step.path)
        directory, name = self._files.parent(step.path)
        self._retire(directory, name)
        os.unlink(name, dir_fd=directory)
        self._touch(step)

    def _hollow(self, step: Step) -> None:
        """A directory that has something in it by now stays."""
        found = self._found(step)
        if found is None or not stat.S_ISDIR(found.st_mode):
            return
        directory, name = self._files.parent(step.path)
        try:
            os.rmdir(name, dir_fd=directory)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        self._touch(step)

    def _away(self, step: Step) -> None:
        found = self._found(step)
        if found is None or step.seen is None or found.st_ino != step.seen[0]:
            return
        self._aside.move(self._files, step.path)
        self._touch(step)

    def _retire(self, directory: int, name: bytes) -> None:
        """A file takes 3 ms to end on some disks: with a second name, in the stage, it ends when all do."""
        self._retired += 1
        with contextlib.suppress(OSError, NotImplementedError):
            retired = b"old-%d" % self._retired
            os.link(name, retired, src_dir_fd=directory, dst_dir_fd=self._stage.fd, follow_symlinks=False)

    # — looking —

    def _found(self, step: Step) -> os.stat_result | None:
        """What stands there under this very name, where a file system would also find it under others."""
        found = self._files.stat(step.path)
        if found is not None and self._plan.folds:
            directory, name = self._files.parent(step.path)
            if os.fsdecode(name) not in os.listdir(directory):
                return None
        return found

    def _is_in_place(self, step: Step) -> bool:
        found = self._files.stat(step.path)
        if found is None:
            return False
        directory, name = self._files.parent(step.path)
        if step.kind == SYMLINK:
            return stat.S_ISLNK(found.st_mode) and os.readlink(name, dir_fd=directory) == step.target
        if not stat.S_ISREG(found.st_mode) or found.st_size != step.size:
            return False
        runs = step.kind == EXECUTABLE
        return is_executable(found) is runs and content_name(name, directory) == step.node

    def _touch(self, step: Step) -> None:
        self._touched.add(step.path.rpartition(b"/")[0])

    def _flush(self) -> None:
        """Directories, deepest last; those that went in the end have nothing to keep."""
        touched = sorted(self._touched)
        for start in range(0, len(touched), OPEN_AT_ONCE):
            fds = []
            for path in touched[start : start + OPEN_AT_ONCE]:
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    fds.append(os.dup(self._files.directory(path)))
            try:
                together(os.fsync, fds)
            finally:
                for fd in fds:
                    os.close(fd)
        os.fsync(self._place.fd)


class Aside:
    """Where what no checkpoint has is kept: `.sickbay/aside/<id>/`, with the paths that it had."""

    def __init__(self, place: Place, name: str) -> None:
        self._place, self._path = place, ASIDE + b"/" + name.encode()
        self._to = Below(place.own_fd)

    def close(self) -> None:
        self._to.close()

    def take_over(self, stage: Stage) -> None:
        """What was kept while the restore was prepared, moved out of the stage."""
        if _is_there(ASIDE, stage.fd):
            top = self._to.directory(ASIDE, make=True)
            os.rename(ASIDE, self._path.rpartition(b"/")[2], src_dir_fd=stage.fd, dst_dir_fd=top)
            os.fsync(top)

    def keep(self, files: Below, path: bytes) -> None:
        """A second name for the file, which stands where it is until it is replaced."""
        to, name = self._free(path)
        kept(files, path, to, name)

    def move(self, files: Below, path: bytes) -> None:
        to, name = self._free(path)
        directory, old = files.parent(path)
        os.rename(old, name, src_dir_fd=directory, dst_dir_fd=to)
        os.fsync(to)

    def _free(self, path: bytes) -> tuple[int, bytes]:
        """A name that is not taken: under the path itself, or under "again-2/", "again-3/" …"""
        head, _, name = path.rpartition(b"/")
        for number in range(1, 1_000):
            again = b"/again-%d" % number if number > 1 else b""
            with contextlib.suppress(FileExistsError, NotADirectoryError):
                to = self._to.directory(self._path + again + (b"/" + head if head else b""), make=True)
                if not _is_there(name, to):
                    return to, name
        raise FileExistsError(f"{shown(path)} was kept aside too often")


def kept(files: Below, path: bytes, to: int, name: bytes) -> None:
    """Keep a file by a second link to it, or by a copy where the file system has no links."""
    directory, old = files.parent(path)
    try:
        os.link(old, name, src_dir_fd=directory, dst_dir_fd=to, follow_symlinks=False)
    except (OSError, NotImplementedError):
        _copied(directory, old, to, name)
    os.fsync(to)


def _copied(directory: int, old: bytes, to: int, name: bytes) -> None:
    if stat.S_ISLNK(os.stat(old, dir_fd=directory, follow_symlinks=False).st_mode):
        os.symlink(os.readlink(old, dir_fd=directory), name, dir_fd=to)
        return
    fd = os.open(old, READ, dir_fd=directory)
    with open(fd, "rb") as source, open(os.open(name, WRITE, 0o600, dir_fd=to), "wb") as copy:
        while block := source.read(1 << 20):
            copy.write(block)
        copy.flush()
        os.fsync(copy.fileno())


def listed(place: Place, name: str) -> list[bytes]:
    """The paths that were kept aside under this name."""
    below = Below(place.own_fd)
    try:
        return sorted(_walk(below.directory(ASIDE + b"/" + name.encode()), b""))
    except OSError as error:
        if error.errno in GONE:
            return []
        raise
    finally:
        below.close()


def _walk(directory: int, path: bytes) -> list[bytes]:
    found: list[bytes] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            below = path + os.fsencode(entry.name)
            if not entry.is_dir(follow_symlinks=False):
                found.append(below)
                continue
            fd = os.open(entry.name, DIRECTORY, dir_fd=directory)
            try:
                found += _walk(fd, below + b"/")
            finally:
                os.close(fd)
    return found


def _is_there(name: bytes, directory: int) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
