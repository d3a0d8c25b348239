"""What changed between two workspaces, from their trees: directories with the same name are not opened.

A file gone here with the bytes of one that came there was renamed. Paths are bytes, as file systems have
them; whoever shows them makes them safe first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from checkpoints.diffs.loading import Comparing, Nodes, Rounds, TooMuch
from sickbay.tree.directory import EXECUTABLE as EXECUTABLE
from sickbay.tree.directory import IN_PLACE, PLAIN_FILE, SUBDIRECTORY, entries_in, entries_of
from sickbay.tree.directory import SYMLINK as SYMLINK
from sickbay.tree.directory import Entry as Entry
from sickbay.tree.read import Fetch

MOST_BYTES = 64 * 1024 * 1024
MOST_CHANGES, MOST_FOUND = 20_000, 100_000  # told; and looked at, since renames are found among all
FILES = (PLAIN_FILE, EXECUTABLE)
Op = Literal["add", "remove", "change", "move", "mode"]


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file or link. `was` is the path it had; `mode` changed whether it can be executed, and no byte."""

    op: Op
    path: bytes
    old: Entry | None = None
    new: Entry | None = None
    was: bytes | None = None


@dataclass(slots=True)
class WorkspaceDiff:
    """`complete` False: there is more than is shown."""

    changes: list[FileChange] = field(default_factory=list)
    complete: bool = True


def compare(old: bytes | None, new: bytes | None, fetch: Fetch, *, most: int = MOST_BYTES) -> WorkspaceDiff:
    """The changes from one workspace's tree to another's, by path."""
    return compare_all([(old, new)], fetch, most=most)[0]


def compare_all(
    pairs: Iterable[tuple[bytes | None, bytes | None]], fetch: Fetch, *, most: int = MOST_BYTES
) -> list[WorkspaceDiff]:
    """The same for many pairs with as few questions as for one; `most` is for all of them."""
    rounds = Rounds(fetch, most)
    comparing = [_Workspaces(rounds, *pair) for pair in pairs]
    complete = True
    try:
        rounds.run()
    except TooMuch:
        complete = False
    return [one.told(complete=complete or one.done) for one in comparing]


class _Workspaces:
    def __init__(self, rounds: Rounds, old: bytes | None, new: bytes | None) -> None:
        self._rounds = rounds
        self.found: list[FileChange] = []
        self.done = old == new
        if not self.done:
            rounds.add(self._directories(_root(old), _root(new), b""))

    def told(self, *, complete: bool) -> WorkspaceDiff:
        changes = sorted(_renamed(self.found), key=lambda change: change.path)
        return WorkspaceDiff(changes[:MOST_CHANGES], complete and len(changes) <= MOST_CHANGES)

    def _directories(self, old: Entry | None, new: Entry | None, path: bytes) -> Comparing:
        """Either may be missing: then all below the other was added or removed."""
        names = [entry.name for entry in (old, new) if entry is not None and entry.kind == SUBDIRECTORY]
        nodes = (yield names) if names else {}
        olds, news = _below(old, nodes), _below(new, nodes)
        for filename in sorted(olds.keys() | news.keys()):
            before, after = olds.get(filename), news.get(filename)
            if before != after:
                self._differ(before, after, path + filename)

    def _differ(self, old: Entry | None, new: Entry | None, path: bytes) -> None:
        """One name: each side may be missing, a file, a link or a directory."""
        was_directory, is_directory = _is_directory(old), _is_directory(new)
        if was_directory or is_directory:
            sides = (old if was_directory else None, new if is_directory else None)
            self._rounds.add(self._directories(*sides, path + b"/"))
        before, after = None if was_directory else old, None if is_directory else new
        if before is None and after is None:
            return
        if len(self.found) >= MOST_FOUND:
            raise TooMuch
        self.found.append(FileChange(_op(before, after), path, before, after))


def _op(old: Entry | None, new: Entry | None) -> Op:
    if old is None:
        return "add"
    if new is None:
        return "remove"
    same_bytes = old.kind in FILES and new.kind in FILES and old.name == new.name
    return "mode" if same_bytes else "change"


def _root(name: bytes | None) -> Entry | None:
    return None if name is None else Entry(b"", SUBDIRECTORY, name=name)


def _is_directory(entry: Entry | None) -> bool:
    return entry is not None and entry.kind in (SUBDIRECTORY, IN_PLACE)


def _below(entry: Entry | None, nodes: Nodes) -> dict[bytes, Entry]:
    if entry is None:
        return {}
    in_place = entry.kind == IN_PLACE  # what is the same on both sides is never opened
    entries = entries_in(entry.body, deep=False) if in_place else entries_of(nodes[entry.name], deep=False)
    return {inner.filename: inner for inner in entries}


def _renamed(changes: list[FileChange]) -> list[FileChange]:
    """Files gone and come with the same bytes are one change; empty files and links are not."""
    gone: defaultdict[bytes, list[FileChange]] = defaultdict(list)
    for change in changes:
        if change.op == "remove" and change.old is not None and change.old.kind in FILES and change.old.size:
            gone[change.old.name].append(change)
    moves: dict[bytes, FileChange] = {}
    taken: set[bytes] = set()
    for change in changes:
        if change.op == "add" and change.new is not None and (left := gone.get(change.new.name)):
            before = min(left, key=lambda one: _distance(one.path, change.path))
            left.remove(before)
            taken.add(before.path)
            moves[change.path] = FileChange("move", change.path, before.old, change.new, before.path)
    return [moves.get(change.path, change) for change in changes if change.path not in taken or change.new]


def _distance(old: bytes, new: bytes) -> bool:
    """The file of the same name is the likelier one."""
    return old.rpartition(b"/")[2] != new.rpartition(b"/")[2]
