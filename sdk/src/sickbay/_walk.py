"""Looks at every name of a workspace once, reads nothing, and says which files are to be read.

What a snapshot cannot keep is left out and named: special files, links that lead out of the workspace, what
is too large or too deep, other file systems. Like what the rules ignore, it stays as it is when the workspace
is rolled back. The whole is different: beyond `Limits.total` or `Limits.names` an arbitrary half would be
kept, and a rollback to it would be no state that ever was. So there is no snapshot, and a sentence.

Measured in CPU time for 1,000 files in 262 directories: os.scandir by descriptor with DirEntry.stat 6.4 ms,
by path 6.3, os.listdir with os.stat 6.7, os.stat of known names alone 4.1. The times of directories would
spare the listing, but not every file system moves them; a name that is missed is a file that is lost.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from sickbay._folder import Folder, Kept, WorkspaceRefused, stamp_of
from sickbay._ignore import OURS, Rules
from sickbay._reading import DIRECTORIES, EXHAUSTED, special, too_large
from sickbay.tree.directory import DEEPEST, NAME_LIMIT, SYMLINK

SPOTS = 100  # one of so many files is read again although nothing says that it changed
SPOT_BYTES = 4 << 20  # of them in one snapshot
TOO_LONG = f"has a name of more than {NAME_LIMIT} bytes"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a workspace may hold: bytes of one file and of all, names, directories inside of each other."""

    file: int = 256 << 20
    total: int = 4 << 30
    names: int = 100_000
    depth: int = 64


class Walk:
    """One look at a workspace. `pending`: what is to be read; `left`: what is left out, and why.

    `turn` chooses the files of which a spot is read although nothing says that they changed; None: no file.
    """

    def __init__(
        self, rules: Rules, limits: Limits, apart: frozenset[tuple[int, int]], turn: int | None
    ) -> None:
        self._rules, self._limits, self._apart = rules, limits, apart
        self._spot_turn = -1 if turn is None else turn % SPOTS
        self._device = -1
        self._spot_bytes = SPOT_BYTES
        self.pending: list[tuple[Folder, str]] = []
        self.spots: list[tuple[Folder, str]] = []  # of large files one part is read again
        self.left: dict[str, str] = {}
        self.names = self.bytes = 0

    def look(self, root: int, old: Folder | None, same_rules: bool) -> Folder:
        """The directory as it is now; files that are to be read are missing in it."""
        self._device = os.fstat(root).st_dev
        self._trusts_rules = same_rules
        try:
            return self._folder(root, "", old, 0)
        except OSError as error:
            raise WorkspaceRefused(f"the workspace {unreadable(error)}: may this process enter?") from error

    def _folder(self, directory: int, path: str, old: Folder | None, depth: int) -> Folder:
        folder = Folder(path)
        with os.scandir(directory) as listed:
            below = self._listed(listed, folder, old or Folder(path))
        for name in below:
            inside = path + name + "/"
            if depth >= min(self._limits.depth, DEEPEST):
                self.left[inside] = f"lies more than {depth} directories deep"
                continue
            was = old.folders.get(name) if old else None
            if child := self._below(directory, name, inside, was, depth + 1):
                folder.folders[name] = child
        return folder

    def _listed(self, listed: Iterator[os.DirEntry[str]], folder: Folder, old: Folder) -> list[str]:
        """The directories in it; files come into the folder, or to those that are to be read."""
        below, ignored, files = [], set(), old.files
        trusts, turn, limit = self._trusts_rules, self._spot_turn, self._limits.file
        for entry in listed:
            name = entry.name
            is_directory = entry.is_dir(follow_symlinks=False)
            if not (trusts and name in (old.folders if is_directory else files)) and self._ignores(
                folder, old, name, is_directory
            ):
                ignored.add(name + "/" if is_directory else name)
                continue
            if is_directory:
                self._count(0)
                below.append(name)
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            kept = files.get(name)
            if kept is None or kept.racy or kept.stamp != stamp_of(status) or kept.size > limit:
                self._new(folder, name, status)
            else:
                self._count(kept.size)
                folder.files[name] = kept
                if status.st_ino % SPOTS == turn:
                    self._spot(folder, name, kept)
        folder.ignored = frozenset(ignored)
        return below

    def _ignores(self, folder: Folder, old: Folder, name: str, is_directory: bool) -> bool:
        if name == OURS:
            return True
        if self._trusts_rules and (name + "/" if is_directory else name) in old.ignored:
            return True
        return self._rules.ignores(os.fsencode(folder.path + name), is_directory)

    def _below(self, above: int, name: str, path: str, old: Folder | None, depth: int) -> Folder | None:
        if len(os.fsencode(name)) > NAME_LIMIT:
            self.left[path] = TOO_LONG
            return None
        try:
            directory = os.open(name, DIRECTORIES, dir_fd=above)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.left[path] = unreadable(error)
            return None
        try:
            status = os.fstat(directory)
            if (status.st_dev, status.st_ino) in self._apart:
                return None
            if status.st_dev != self._device:
                self.left[path] = "is another file system"
                return None
            return self._folder(directory, path, old, depth)
        except OSError as error:
            self.left[path] = unreadable(error)
            return None
        finally:
            os.close(directory)

    def _new(self, folder: Folder, name: str, status: os.stat_result) -> None:
        """A file that is new, or other than it was."""
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISLNK(status.st_mode):
            self.left[folder.path + name] = special(status.st_mode)
        elif status.st_size > self._limits.file:
            self.left[folder.path + name] = too_large(status.st_size, self._limits.file)
        elif len(os.fsencode(name)) > NAME_LIMIT:
            self.left[folder.path + name] = TOO_LONG
        else:
            self._count(status.st_size)
            self.pending.append((folder, name))

    def _spot(self, folder: Folder, name: str, kept: Kept) -> None:
        if kept.kind == SYMLINK:
            return
        if kept.parts:
            self.spots.append((folder, name))
        elif kept.size <= self._spot_bytes:
            self._spot_bytes -= kept.size
            del folder.files[name]
            self.pending.append((folder, name))

    def _count(self, size: int) -> None:
        """One name more; WorkspaceRefused when the whole is too much."""
        self.names += 1
        self.bytes += size
        limits = self._limits
        if self.names <= limits.names and self.bytes <= limits.total:
            return
        has = (
            f"{limits.names:,} files and directories"
            if self.names > limits.names
            else f"{limits.total:,} bytes"
        )
        raise WorkspaceRefused(
            f"the workspace has more than {has}, too much for a checkpoint: name what need not be kept in "
            ".sickbayignore"
        )


def unreadable(error: OSError) -> str:
    """Why something cannot be read. What this process lacks is no fault of the file, and is raised."""
    if error.errno in EXHAUSTED:
        raise error
    return f"cannot be read ({(error.strerror or str(error)).lower()})"
