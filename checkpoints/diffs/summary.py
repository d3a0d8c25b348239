"""What changed in a word: how many messages, values and files."""

from __future__ import annotations

from dataclasses import dataclass, field

from checkpoints.diffs.items import Item
from checkpoints.diffs.memory import Change, MemoryDiff
from checkpoints.diffs.workspace import WorkspaceDiff

CONVERSATIONS = frozenset({"messages", "history", "conversation", "chat", "chat_history"})
TELLING = (b'"role":', b'"tool_call_id":', b'"tool_calls":')
LONGEST = 40


@dataclass(frozen=True, slots=True)
class Summary:
    """`added` to `changed` are messages; `first` is a value that changed: its path, before and after."""

    added: int = 0
    removed: int = 0
    changed: int = 0
    moved: int = 0
    values: int = 0
    files: int = 0
    complete: bool = True
    damaged: bool = False
    first: tuple[str, str, str] = field(default=("", "", ""))

    @property
    def nothing(self) -> bool:
        found = (self.added, self.removed, self.changed, self.moved, self.values, self.files)
        return not any(found) and self.complete and not self.damaged


def of(memory: MemoryDiff, workspace: WorkspaceDiff) -> Summary:
    counts = dict.fromkeys(("added", "removed", "changed", "moved", "values"), 0)
    seen: set[tuple[str | int, ...]] = set()
    for change in memory.changes:
        word = _counts_as(change)
        place = change.path[: _depth(change.path)] if word == "changed" else change.path
        if word == "changed" and place in seen:
            continue
        seen.add(place)
        counts[word] += 1
    return Summary(
        counts["added"],
        counts["removed"],
        counts["changed"],
        counts["moved"],
        counts["values"],
        files=len(workspace.changes),
        complete=memory.complete and workspace.complete,
        first=next(filter(None, map(_told, memory.changes)), ("", "", "")),
    )


def is_message(item: Item | None, path: tuple[str | int, ...]) -> bool:
    """Whether an item of a list is one, by what it holds, or by the list's name where that is not loaded."""
    if item is None or len(path) < 1 or not isinstance(path[-1], int):
        return False
    if item.piece is None or item.piece.text:
        text = item.text or (item.piece.text if item.piece else b"")
        return any(mark in text for mark in TELLING)
    return item.is_container and any(step in CONVERSATIONS for step in path[-2:-1])


def _counts_as(change: Change) -> str:
    path = change.path
    if is_message(change.new or change.old, path):
        return {"add": "added", "remove": "removed", "move": "moved"}.get(change.op, "changed")
    depth = _depth(path)
    inside = 0 < depth < len(path) and any(step in CONVERSATIONS for step in path[: depth - 1])
    return "changed" if inside else "values"


def _depth(path: tuple[str | int, ...]) -> int:
    """How much of the path leads to an item of its first list; 0 when it leads through none."""
    return next((n + 1 for n, step in enumerate(path) if isinstance(step, int)), 0)


def _told(change: Change) -> tuple[str, str, str] | None:
    """A short value that became another, under a name: the likeliest to say what is wrong."""
    old, new = change.old, change.new
    if change.op != "change" or _depth(change.path) or not change.path or old is None or new is None:
        return None
    if (
        old.piece
        or new.piece
        or old.is_container
        or new.is_container
        or max(old.length, new.length) > LONGEST
    ):
        return None
    shown = [item.text.decode("utf-8", "replace") for item in (old, new)]
    return ".".join(map(str, change.path)), shown[0], shown[1]
