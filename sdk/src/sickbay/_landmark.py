"""Which directory the workspace is: so that an empty mount point is never taken for a workspace wiped clean.

    <workspace>/.sickbay/mark       says so in the workspace itself                            (_place)
    <home>/workspace.landmark       what this home knows: path, mark, and on which device it lay

    known mark there                it is the workspace
    none there, the same device     it was emptied or made anew where it was: true, so it is marked again
    none there, another device      its disk is not mounted: no snapshot, no restore
    another mark                    another workspace: the same

What this home knows may be lost: then the workspace is believed, as the first time. Where no mark can be
written, as on a read-only disk, nothing is known and nothing is refused.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

import msgspec

from sickbay._below import DIRECTORY, READ
from sickbay._errors import RestoreRefused
from sickbay._folder import WorkspaceRefused
from sickbay._names import OWN

LONGEST = 64
log = logging.getLogger("sickbay")


class Known(msgspec.Struct, frozen=True):
    """What a home remembers."""

    path: bytes
    mark: str
    device: int


class Landmark:
    """The mark of one workspace, as one home knows it."""

    def __init__(self, workspace: Path, home: Path) -> None:
        self._workspace, self._file = workspace, home / "workspace.landmark"
        self._known: Known | None = None
        self._loaded = False

    @property
    def mark(self) -> str | None:
        """What a restore must find there; None while nothing is known."""
        known = self._load()
        return known.mark if known is not None else None

    def check(self, root: int) -> None:
        """WorkspaceRefused, unless this open directory is the workspace that this home knows."""
        known, here, device = self._load(), _mark_in(root), os.fstat(root).st_dev
        if known is None:
            if mark := here or self._marked():
                self._keep(mark, device)
        elif here == known.mark:
            if device != known.device:  # disks are numbered anew at each boot
                self._keep(here, device)
        elif here is None and device == known.device:
            if mark := self._marked():
                self._keep(mark, device)
        else:
            raise WorkspaceRefused(
                f"the workspace {self._workspace} is not the one that was checkpointed: is its disk mounted? "
                "If it was replaced on purpose, enter once with agent.run(fresh=True)"
            )

    def forget(self) -> None:
        """Whatever is there from now on is the workspace."""
        self._known, self._loaded = None, True
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)

    def _marked(self) -> str | None:
        from sickbay import _place

        try:
            with _place.held(self._workspace) as place:
                return place.marked()
        except (RestoreRefused, OSError) as error:
            log.debug("sickbay: %s cannot be marked: %s", self._workspace, error)
            return None

    def _load(self) -> Known | None:
        if not self._loaded:
            self._loaded = True
            with contextlib.suppress(OSError, ValueError):
                known = msgspec.json.decode(self._file.read_bytes(), type=Known)
                if known.path == os.fsencode(self._workspace):
                    self._known = known
        return self._known

    def _keep(self, mark: str, device: int) -> None:
        known = self._known = Known(os.fsencode(self._workspace), mark, device)
        new = self._file.with_suffix(".new")
        with contextlib.suppress(OSError):
            new.write_bytes(msgspec.json.encode(known))
            new.replace(self._file)


def _mark_in(root: int) -> str | None:
    try:
        own = os.open(OWN, DIRECTORY, dir_fd=root)
    except OSError:
        return None
    try:
        with open(os.open(b"mark", READ, dir_fd=own), "rb") as file:
            return file.read(LONGEST).decode("ascii", "replace") or None
    except OSError:
        return None
    finally:
        os.close(own)
