"""Looks at a workspace until its files are of one moment.

    look     every name and its times, and the bytes of what is new (_walk, _reading)
    again    the same once more; what has the bytes that it had stood still in between

What every look but the first finds unchanged was read before some moment and seen again after it: at that
moment all of it was there together. So the last look that finds nothing else than the one before is the
snapshot. A program that writes all the time is never still: after a few looks the last one counts, and what
was moving is named. Whoever writes several files that belong together does so within `agent.editing()`.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sickbay._folder import Emit, Folder, Kept
from sickbay._ignore import Rules
from sickbay._reading import FILES, LeftOut, Reading, is_still
from sickbay._walk import SPOTS, Limits, Walk, unreadable

LOOKS = 6  # at most
LOOKS_S = 0.25  # seconds after which no further look begins
Known = Callable[[str, str], Kept | None]


@dataclass
class Looked:
    """What was there. `torn` changed each time it was read, `moving` between the last two looks."""

    folder: Folder
    left: dict[str, str]
    torn: dict[str, Kept]
    moving: list[str] = field(default_factory=list)

    @property
    def is_still(self) -> bool:
        """Whether all of it is of one moment."""
        return not self.moving and not self.torn


class Looking:
    """The looks of one snapshot. `known`: a file as the snapshot before has it."""

    def __init__(
        self, root: int, rules: Rules, limits: Limits, apart: frozenset[tuple[int, int]], known: Known
    ) -> None:
        self._root, self._rules, self._limits, self._apart, self._known = root, rules, limits, apart, known

    def still(self, old: Folder | None, same_rules: bool, turn: int, emit: Emit, was_still: bool) -> Looked:
        """The files of one moment; or, where there is none, of the last look, with what was moving.

        `was_still`: the old ones were of one moment. Where all of them are as they were, that was it.
        """
        found = self._look(old, same_rules, turn, emit, {})
        if was_still and old is not None and not any(_moved(old, found.folder)):
            return found
        until = time.monotonic() + LOOKS_S
        for _ in range(LOOKS - 1):
            before, found = found, self._look(found.folder, True, None, emit, found.torn)
            found.moving = list(_moved(before.folder, found.folder))
            if not found.moving or self._was_one(found, emit) or time.monotonic() > until:
                break
        return found

    def _was_one(self, found: Looked, emit: Emit) -> bool:
        """Whether a single file moves, and all else is as it was before and after this reading of it.

        Then that reading was the moment: a log that is written all the time spoils nothing.
        """
        if len(found.moving) > 1 or found.torn:
            return False
        *above, name = found.moving[0].split("/")
        folder = found.folder
        for part in above:
            if part not in folder.folders:
                return False
            folder = folder.folders[part]
        before = folder.files.get(name)
        reading = Reading(self._root, time.time_ns(), self._limits.file, emit)
        try:
            kept = before and reading.read(folder.path, name, self._known(folder.path, name))
        except (LeftOut, OSError):
            return False
        finally:
            reading.close()
        if kept is None or reading.torn:
            return False
        folder.files[name] = kept
        after = self._look(found.folder, True, None, lambda found: None, {})
        if after.torn.keys() - {*found.moving} or {*_moved(found.folder, after.folder)} - {*found.moving}:
            return False
        found.moving = []
        return True

    def _look(
        self, old: Folder | None, same_rules: bool, turn: int | None, emit: Emit, torn: dict[str, Kept]
    ) -> Looked:
        reading = Reading(self._root, time.time_ns(), self._limits.file, emit)
        walk = Walk(self._rules, self._limits, self._apart, turn)
        try:
            folder = walk.look(self._root, old, same_rules)
            self._read(walk, reading, turn or 0, torn)
        finally:
            reading.close()
        return Looked(folder, walk.left, torn | reading.torn)

    def _read(self, walk: Walk, reading: Reading, turn: int, torn: dict[str, Kept]) -> None:
        """Everything that is to be read comes into its folder, or is left out.

        What was torn stays as it was read: it was tried often enough, and may be large.
        """
        for folder, name in walk.spots:
            with contextlib.suppress(OSError):
                file = os.open(name, FILES, dir_fd=reading.directory(folder.path))
                try:
                    if is_still(file, folder.files[name], turn // SPOTS):
                        continue
                finally:
                    os.close(file)
            walk.pending.append((folder, name))
        for folder, name in walk.pending:
            folder.files.pop(name, None)
            if kept := torn.get(folder.path + name):
                folder.files[name] = kept
                continue
            try:
                kept = reading.read(folder.path, name, self._known(folder.path, name))
            except LeftOut as why:
                walk.left[folder.path + name] = str(why)
            except OSError as error:
                walk.left[folder.path + name] = unreadable(error)
            else:
                if kept:
                    folder.files[name] = kept


def _moved(before: Folder, after: Folder) -> Iterator[str]:
    """The paths whose bytes, or whose being there, differ between two looks."""
    if before.files != after.files:
        for name in before.files.keys() | after.files.keys():
            one, other = before.files.get(name), after.files.get(name)
            if one is not other and _content(one) != _content(other):
                yield after.path + name
    for name in before.folders.keys() | after.folders.keys():
        inside = after.path + name + "/"
        yield from _moved(
            before.folders.get(name) or Folder(inside), after.folders.get(name) or Folder(inside)
        )


def _content(kept: Kept | None) -> tuple[int, int, bytes, bytes] | None:
    return (kept.kind, kept.size, kept.name, kept.target) if kept else None
