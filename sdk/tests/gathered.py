"""A place for a workspace's nodes, and the plainest way to write them to a disk again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from sickbay._folder import Found
from sickbay._workspace import Snapshot, Workspace
from sickbay.tree.directory import EXECUTABLE, IN_PLACE, SUBDIRECTORY, SYMLINK, Entry, entries_in, entries_of
from sickbay.tree.node import name_of
from sickbay.tree.read import data_of, links

LINES = b"".join(b"line %d of a long report\n" % n for n in range(20_000))


def fresh(work: Path) -> bytes:
    """The root by a workspace that knows nothing."""
    return Workspace(work).snapshot().root


class Gathered(dict[bytes, bytes]):
    """Every node that was given, by name; children must come before parents, and each once a snapshot."""

    def __init__(self) -> None:
        self.found: list[Found] = []

    def emit(self, found: Found) -> None:
        assert name_of(found.plain) == found.name
        assert all(link.name in self for link in links(found.plain))
        self[found.name] = found.plain
        self.found.append(found)

    def take(self, workspace: Workspace) -> tuple[Snapshot, list[Found]]:
        """A snapshot, and the nodes that it gave."""
        self.found = []
        snapshot = workspace.snapshot(self.emit)
        assert [found.name for found in self.found] == list(snapshot.new)
        return snapshot, self.found

    def fetch(self, names: Sequence[bytes]) -> dict[bytes, bytes]:
        return {name: self[name] for name in names}

    def write(self, root: bytes, to: Path) -> None:
        """The directory as the tree has it."""
        to.mkdir()
        self._write(entries_of(self[root]), os.fsencode(to))

    def _write(self, entries: list[Entry], to: bytes) -> None:
        for entry in entries:
            path = os.path.join(to, entry.filename)
            if entry.kind == SYMLINK:
                os.symlink(entry.body, path)
            elif entry.kind in (SUBDIRECTORY, IN_PLACE):
                os.mkdir(path)
                inside = entries_in(entry.body) if entry.kind == IN_PLACE else entries_of(self[entry.name])
                self._write(inside, path)
            else:
                data = data_of(entry.name, self.fetch)
                assert len(data) == entry.size
                Path(os.fsdecode(path)).write_bytes(data)
                os.chmod(path, 0o755 if entry.kind == EXECUTABLE else 0o644)
