"""What changed between two checkpoints, in a word: `+2 messages, 3 files`."""

from __future__ import annotations

from checkpoints import secrets
from checkpoints.diffs.summary import Summary
from checkpoints.models import Checkpoint
from dashboard import phrasing

NOTHING = "nothing changed"
DAMAGED = "cannot be compared: damaged"


def words(found: Summary) -> str:
    """The difference of two checkpoints that were looked into."""
    if found.damaged:
        return DAMAGED
    parts = [*_messages(found)]
    if found.values:
        parts.append(phrasing.some(found.values, "value"))
    if found.files:
        parts.append(phrasing.some(found.files, "file"))
    if not found.complete:
        return f"more than {', '.join(parts)}" if parts else "more than is counted"
    return ", ".join(parts) or NOTHING


def first(found: Summary) -> tuple[str, str, str]:
    """A value that changed, unless it is a secret."""
    name, old, new = found.first
    is_secret = secrets.is_below_telling(name.split(".")) or secrets.masked(old + new) != old + new
    return ("", "", "") if is_secret else (name, old, new)


def rough(old: Checkpoint, new: Checkpoint) -> str:
    """What their rows alone say, until somebody has looked."""
    parts = []
    if old.memory != new.memory:
        grown = new.memory_length - old.memory_length
        parts.append(f"memory {_signed(grown)}" if grown else "memory changed")
    if old.workspace != new.workspace:
        files = new.files - old.files
        noun = "file" if abs(files) == 1 else "files"
        parts.append(f"{phrasing.signed(files)} {noun}" if files else "files changed")
    return ", ".join(parts) or NOTHING


def _messages(found: Summary) -> list[str]:
    counts = [
        phrasing.signed(found.added) if found.added else "",
        phrasing.signed(-found.removed) if found.removed else "",
    ]
    signed = " ".join(filter(None, counts))
    parts = []
    if signed:
        parts.append(f"{signed} {'message' if found.added + found.removed == 1 else 'messages'}")
    if found.changed:
        parts.append(f"{phrasing.some(found.changed, 'message')} changed")
    if found.moved:
        parts.append(f"{phrasing.some(found.moved, 'message')} moved")
    return parts


def _signed(count: int) -> str:
    return f"{'+' if count > 0 else phrasing.MINUS}{phrasing.size(abs(count))}"
