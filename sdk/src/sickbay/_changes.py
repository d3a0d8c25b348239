"""What differs between the files on disk and a target tree, and the steps that make them the same.

Only directories are listed and files looked at: a file is read when neither its size nor what the last
snapshot knew of it decides. What snapshots leave out stays as it is; only where it stands in the way of
something that comes back it goes aside, as does what was changed since the last snapshot.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from sickbay import _names
from sickbay._below import DIRECTORY, content_name, is_executable, seen
from sickbay._errors import RestoreRefused
from sickbay._journal import AWAY, DROP, HOLLOW, MAKE, PUT, Step
from sickbay._names import OWN, Folding, shown
from sickbay._place import Place
from sickbay._target import Target
from sickbay.tree.directory import EXECUTABLE, IN_PLACE, SUBDIRECTORY, SYMLINK, Entry

LeavesOut = Callable[[bytes, os.stat_result], bool]
DIRECTORIES = (SUBDIRECTORY, IN_PLACE)


class KnownFile(Protocol):
    """A file or link as the last snapshot read it; `stamp` is mtime, ctime (ns), size, inode and mode."""

    @property
    def stamp(self) -> tuple[int, int, int, int, int]: ...
    @property
    def name(self) -> bytes: ...
    @property
    def target(self) -> bytes: ...
    @property
    def racy(self) -> bool: ...


class Known(Protocol):
    """A directory as the last snapshot read it."""

    @property
    def files(self) -> Mapping[str, KnownFile]: ...
    @property
    def folders(self) -> Mapping[str, Known]: ...


def outside_of(root: Known) -> LeavesOut:
    """What this snapshot did not hold of the files that were there when it was taken."""

    def leaves_out(path: bytes, found: os.stat_result) -> bool:
        folder: Known | None = root
        *names, name = os.fsdecode(path).split("/")
        for above in names:
            folder = folder.folders.get(above) if folder else None
        if folder is None:
            return True
        return name not in (folder.folders if stat.S_ISDIR(found.st_mode) else folder.files)

    return leaves_out


class Scope:
    """Which paths are restored: all, or those given and what is below them."""

    def __init__(self, paths: Iterable[str | bytes] | None) -> None:
        self.all = paths is None
        self._paths = {self._checked(os.fsencode(path)) for path in paths or ()}
        self._on_the_way = {b"/".join(names[:n]) for names in self._names() for n in range(1, len(names))}
        self.unmet = set(self._paths)

    def _names(self) -> list[list[bytes]]:
        return [path.split(b"/") for path in self._paths]

    @staticmethod
    def _checked(path: bytes) -> bytes:
        path = path.removeprefix(b"./").rstrip(b"/")
        if any(_names.fault(name, Folding()) for name in path.split(b"/")):
            raise RestoreRefused("is no path in a workspace", path=shown(path))
        return path

    def holds(self, path: bytes) -> bool:
        """Whether this very path was given."""
        self.unmet.discard(path)
        return path in self._paths

    def leads(self, path: bytes) -> bool:
        return path in self._on_the_way

    def covers(self, path: bytes) -> bool:
        """Whether a path is restored; for a look from outside."""
        names = path.split(b"/")
        return self.all or any(b"/".join(names[: n + 1]) in self._paths for n in range(len(names)))


@dataclass(slots=True)
class Changes:
    """Steps in their order, first what must go to make room, last what goes for good.

    `kept`: what goes aside before it is replaced; `modes`: permissions that stay; `stays`: what snapshots
    leave out and is not touched; `hollow`: directories that stay for its sake alone; `called_out`: what runs
    code or steers agents, and why.
    """

    room: list[Step] = field(default_factory=list)
    makes: list[Step] = field(default_factory=list)
    puts: list[Step] = field(default_factory=list)
    removals: list[Step] = field(default_factory=list)
    kept: list[bytes] = field(default_factory=list)
    modes: dict[bytes, int] = field(default_factory=dict)
    stays: list[bytes] = field(default_factory=list)
    hollow: list[bytes] = field(default_factory=list)
    called_out: list[tuple[str, str]] = field(default_factory=list)

    @property
    def steps(self) -> list[Step]:
        return [*self.room, *self.makes, *self.puts, *self.removals]

    @property
    def bytes(self) -> int:
        return sum(step.size for step in self.puts)


class _Here(NamedTuple):
    """A directory of both sides: open, its path, what is known of it, whether all below is in scope, and
    whether snapshots leave it out."""

    fd: int
    path: bytes
    known: Known | None
    whole: bool
    left_out: bool = False

    def below(self, name: bytes) -> bytes:
        return self.path + b"/" + name if self.path else name

    def file(self, name: bytes) -> KnownFile | None:
        return self.known.files.get(os.fsdecode(name)) if self.known else None

    def folder(self, name: bytes) -> Known | None:
        return self.known.folders.get(os.fsdecode(name)) if self.known else None


class Comparison:
    """One look at a workspace beside its target."""

    def __init__(
        self, place: Place, target: Target, *, folding: Folding, leaves_out: LeavesOut, scope: Scope
    ) -> None:
        self._place, self._target, self._folding = place, target, folding
        self._leaves_out, self._scope = leaves_out, scope
        self._folds = folding.case or folding.form
        self._writable: set[bytes] = set()
        self._changes = Changes()

    def run(self, known: Known | None) -> Changes:
        self._directory(_Here(self._place.fd, b"", known, self._scope.all), self._target.top)
        if self._scope.unmet:
            raise RestoreRefused(
                "is neither in the checkpoint nor in the workspace", path=shown(min(self._scope.unmet))
            )
        return self._changes

    def _directory(self, here: _Here, entries: list[Entry]) -> None:
        there = _listed(here.fd)
        if not here.path:
            there.pop(OWN, None)
        wanted = {entry.filename for entry in entries}
        keys = {self._folding.key(name) for name in wanted} if self._folds else set()
        for name, found in there.items():
            if name not in wanted and self._is_meant(here, name):
                self._surplus(here, name, found, in_the_way=self._folds and self._folding.key(name) in keys)
        for entry in entries:
            if self._is_meant(here, entry.filename):
                self._entry(here, entry, there.get(entry.filename))

    def _is_meant(self, here: _Here, name: bytes) -> bool:
        """Whether this, or something below it, is in scope."""
        path = here.below(name)
        return here.whole or self._scope.holds(path) or self._scope.leads(path)

    def _is_whole(self, here: _Here, name: bytes) -> bool:
        return here.whole or self._scope.holds(here.below(name))

    # — what the target has —

    def _entry(self, here: _Here, entry: Entry, found: os.stat_result | None) -> None:
        is_folder = found is not None and stat.S_ISDIR(found.st_mode)
        if entry.kind in DIRECTORIES:
            if found is not None and is_folder:
                self._inside(here, entry.filename, found, self._target.below(entry))
                return
            if found is not None:
                self._make_room(here, entry.filename, found)
            self._make(here, entry)
        elif not self._is_whole(here, entry.filename):
            if found is not None and is_folder:  # only what is below was asked for, and the target has none
                self._inside(here, entry.filename, found, [])
        elif found is None or not self._is_same(here, entry, found):
            self._put(here, entry, found)

    def _inside(self, here: _Here, name: bytes, found: os.stat_result, entries: list[Entry]) -> None:
        fd = os.open(name, DIRECTORY, dir_fd=here.fd)
        path = here.below(name)
        try:
            left_out = here.left_out or self._leaves_out(path, found)
            whole = self._is_whole(here, name)
            self._directory(_Here(fd, path, here.folder(name), whole, left_out), entries)
        finally:
            os.close(fd)

    def _make(self, here: _Here, entry: Entry) -> None:
        """A directory that is not there, and what is in it."""
        self._may_change(here)
        self._changes.makes.append(Step(MAKE, here.below(entry.filename)))
        self._fill(
            here.below(entry.filename),
            self._target.below(entry),
            self._is_whole(here, entry.filename),
        )

    def _fill(self, path: bytes, entries: list[Entry], whole: bool) -> None:
        for entry in entries:
            below = path + b"/" + entry.filename
            covered = whole or self._scope.holds(below)
            if not covered and not self._scope.leads(below):
                continue
            if entry.kind in DIRECTORIES:
                self._changes.makes.append(Step(MAKE, below))
                self._fill(below, self._target.below(entry), covered)
            elif covered:
                self._put_at(below, entry, None)

    def _put(self, here: _Here, entry: Entry, found: os.stat_result | None) -> None:
        self._may_change(here)
        path = here.below(entry.filename)
        if found is not None and not stat.S_ISREG(found.st_mode) and not stat.S_ISLNK(found.st_mode):
            self._make_room(here, entry.filename, found)
            found = None
        if found is not None:
            if self._is_changed(here, entry.filename, found):
                self._changes.kept.append(path)
            if stat.S_ISREG(found.st_mode):
                self._changes.modes[path] = stat.S_IMODE(found.st_mode)
        self._put_at(path, entry, found)

    def _put_at(self, path: bytes, entry: Entry, found: os.stat_result | None) -> None:
        changes = self._changes
        before = seen(found) if found is not None else None
        changes.puts.append(
            Step(PUT, path, before, len(changes.puts), entry.kind, entry.size, entry.name, entry.body)
        )
        why = _names.steers(path)
        if why is not None:
            changes.called_out.append((shown(path, 0), why))

    # — what the target has not —

    def _surplus(self, here: _Here, name: bytes, found: os.stat_result, in_the_way: bool) -> None:
        if in_the_way:
            self._make_room(here, name, found)
        elif self._is_whole(here, name):
            self._removed(here, name, found, self._changes.removals)
        elif stat.S_ISDIR(found.st_mode):
            self._inside(here, name, found, [])

    def _make_room(self, here: _Here, name: bytes, found: os.stat_result) -> None:
        """What must go before something else can come; aside, if it is not a snapshot's to bring back."""
        if not self._is_whole(here, name):
            raise RestoreRefused("is in the way of what is to be restored", path=shown(here.below(name)))
        changes = self._changes
        lists: list[list[Any]] = [changes.room, changes.kept, changes.stays, changes.hollow]
        before = [len(grown) for grown in lists]
        if not self._removed(here, name, found, changes.room):
            for grown, length in zip(lists, before, strict=True):
                del grown[length:]
            self._may_change(here)
            changes.room.append(Step(AWAY, here.below(name), seen(found)))

    def _removed(self, here: _Here, name: bytes, found: os.stat_result, steps: list[Step]) -> bool:
        """Add the steps that remove it; False when something of it stays."""
        path = here.below(name)
        if here.left_out or self._is_left_out(here, name, found):
            self._changes.stays.append(path)
            return False
        self._may_change(here)
        if not stat.S_ISDIR(found.st_mode):
            if self._is_changed(here, name, found):
                self._changes.kept.append(path)
            steps.append(Step(DROP, path, seen(found)))
            return True
        fd = os.open(name, DIRECTORY, dir_fd=here.fd)
        try:
            inner = _Here(fd, path, here.folder(name), True)
            gone = [self._removed(inner, below, stats, steps) for below, stats in _listed(fd).items()]
        finally:
            os.close(fd)
        if all(gone):
            steps.append(Step(HOLLOW, path))
        else:
            self._changes.hollow.append(path)
        return all(gone)

    # — looking —

    def _is_left_out(self, here: _Here, name: bytes, found: os.stat_result) -> bool:
        """Whether no snapshot holds it: by its name, by what it is, or by a rule."""
        mode, path = found.st_mode, here.below(name)
        if _names.fault(name, self._folding) is not None or self._leaves_out(path, found):
            return True
        if stat.S_ISLNK(mode):
            return _names.leads_out(path, os.readlink(name, dir_fd=here.fd))
        return not stat.S_ISDIR(mode) and not stat.S_ISREG(mode)

    def _is_same(self, here: _Here, entry: Entry, found: os.stat_result) -> bool:
        if entry.kind == SYMLINK:
            return stat.S_ISLNK(found.st_mode) and os.readlink(entry.filename, dir_fd=here.fd) == entry.body
        if not stat.S_ISREG(found.st_mode) or found.st_size != entry.size:
            return False
        if is_executable(found) is not (entry.kind == EXECUTABLE):
            return False
        return self._content(here, entry.filename, found) == entry.name

    def _content(self, here: _Here, name: bytes, found: os.stat_result) -> bytes:
        known = here.file(name)
        if known is not None and not known.racy and known.stamp == _stamp(found):
            return known.name
        return content_name(name, here.fd)

    def _is_changed(self, here: _Here, name: bytes, found: os.stat_result) -> bool:
        """Whether no snapshot has what stands here."""
        known = here.file(name)
        if known is None:
            return True
        if stat.S_ISLNK(found.st_mode):
            return os.readlink(name, dir_fd=here.fd) != known.target
        return self._content(here, name, found) != known.name

    def _may_change(self, here: _Here) -> None:
        """Refuse now what would fail later: a directory that may not be written, another file system."""
        if here.path in self._writable:
            return
        if os.fstat(here.fd).st_dev != self._place.device:
            raise RestoreRefused(
                "is on another file system, where nothing can be put into place at once",
                path=shown(here.path),
                what_to_do="make it part of no checkpoint, by .sickbayignore",
            )
        if not os.access(b".", os.W_OK | os.X_OK, dir_fd=here.fd, effective_ids=_EFFECTIVE):
            raise RestoreRefused(
                "may not be written by this process; nothing was restored",
                path=shown(here.path) or str(self._place.workspace),
            )
        self._writable.add(here.path)


_EFFECTIVE = os.access in os.supports_effective_ids


def _listed(fd: int) -> dict[bytes, os.stat_result]:
    with os.scandir(fd) as entries:
        return {os.fsencode(entry.name): entry.stat(follow_symlinks=False) for entry in entries}


def _stamp(found: os.stat_result) -> tuple[int, int, int, int, int]:
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_mode
