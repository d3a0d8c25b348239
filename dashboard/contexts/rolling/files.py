"""The files that a rollback would put back, as rows that may be ticked one by one."""

from __future__ import annotations

from dataclasses import dataclass, field

from checkpoints.compared import UNREADABLE, Pair
from checkpoints.diffs.workspace import WorkspaceDiff
from dashboard import phrasing
from dashboard.contexts.comparing import files, paths
from dashboard.contexts.comparing import page as comparing
from dashboard.contexts.rolling.asked import FILES, Asked, named

DONE = {"add": "goes away", "remove": "comes back", "move": "gets its old name"}


@dataclass(frozen=True, slots=True)
class Choice:
    """One file that differs. `may` False: its name is one that only the whole workspace can carry."""

    path: bytes
    value: str
    op: str
    note: str
    added: int | None
    removed: int | None
    href: str
    ticked: bool
    may: bool


@dataclass(frozen=True, slots=True)
class Listed:
    """`already`: ticked, and the same in both. `left`: how many are not shown."""

    choices: list[Choice] = field(default_factory=list)
    already: list[bytes] = field(default_factory=list)
    left: int = 0
    added: int = 0
    removed: int = 0
    complete: bool = True
    damaged: str = ""

    @property
    def words(self) -> str:
        count = len(self.choices) + self.left
        least = "" if self.complete else "more than "
        return f"{least}{phrasing.some(count, 'file')}" if count else ""

    @property
    def ticked(self) -> list[bytes]:
        return [choice.path for choice in self.choices if choice.ticked and choice.may]


def listed(pair: Pair, wish: Asked) -> Listed:
    """What differs between the target and the newest one, and which of it is ticked."""
    if pair.old.workspace is None:
        return Listed()
    diff = pair.workspace
    if not isinstance(diff, WorkspaceDiff):
        return Listed(damaged=str(diff))
    try:
        tree = files.tree(pair, diff, "")
    except UNREADABLE as error:
        return Listed(damaged=str(error))
    here, wanted = comparing.address(pair), set(wish.paths)
    found = [_choice(one, here, wanted) for folder in tree.folders for one in folder.files]
    there = {choice.path for choice in found}
    already = [path for path in wish.paths if path not in there] if wish.scope == FILES else []
    return Listed(found, already, tree.left, tree.added, tree.removed, diff.complete)


def moved(pair: Pair) -> dict[bytes, bytes]:
    """The old name of each file that was renamed since."""
    diff = pair.workspace
    if not isinstance(diff, WorkspaceDiff):
        return {}
    return {change.path: change.was for change in diff.changes if change.op == "move" and change.was}


def _choice(one: files.File, here: str, wanted: set[bytes]) -> Choice:
    note = DONE.get(one.op, one.note)
    if one.op == "move" and one.was:
        note = f"{note}: {phrasing_name(one.was)}"
    value = paths.file_written(one.path)
    may = named(one.path) is not None and (not one.was or named(one.was) is not None)
    href = f"{here}file/{one.query}"
    return Choice(one.path, value, one.op, note, one.added, one.removed, href, one.path in wanted, may)


def phrasing_name(path: bytes) -> str:
    """A path in a sentence: not longer than a line."""
    text = path.decode("utf-8", "replace")
    return text if len(text) <= 60 else f"…{text[-59:]}"
