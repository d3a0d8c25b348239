"""A changed file as a unified difference, which `git apply` takes; its bytes are fetched when it is shown."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field

from sickbay._operator import Operator
from sickbay._shell import phrasing
from sickbay._shell.told import FileChange, Side
from sickbay._wire import Refused

LARGEST, MOST_LINES = 1024 * 1024, 20_000
COLOURS = {"+": "green", "-": "red", "@": "cyan"}
MODES = {"file": "100644", "executable": "100755", "link": "120000"}
NO_END = "\\ No newline at end of file"


@dataclass
class Difference:
    """`head` and `lines` of one file; `note` where there are no lines to show."""

    head: list[str]
    lines: list[str] = field(default_factory=list)
    note: str = ""
    sizes: str = ""

    @property
    def is_text(self) -> bool:
        return bool(self.lines) or not self.note

    @property
    def added(self) -> int:
        return sum(line.startswith("+") for line in self.lines[2:])

    @property
    def removed(self) -> int:
        return sum(line.startswith("-") for line in self.lines[2:])


class Files:
    """The files of two checkpoints. `reveal`: with their secrets, which the server writes down."""

    def __init__(self, operator: Operator, old: str, new: str, *, reveal: bool) -> None:
        self._operator, self._old, self._new, self._reveal = operator, old, new, reveal

    def difference(self, change: FileChange) -> Difference:
        was, path = quoted(f"a/{change.was or change.path}"), quoted(f"b/{change.path}")
        found = Difference([f"diff --git {was} {path}", *_extended(change)], sizes=_sizes(change))
        if _is_same(change):
            return found
        if max((side.size for side in (change.old, change.new) if side), default=0) > LARGEST:
            found.note = f"Too large for lines: {found.sizes}"
            return found
        before = self._text(self._old, change.was or change.path, change.old)
        after = self._text(self._new, change.path, change.new)
        if before is None or after is None:
            found.note = f"Binary files {was} and {path} differ ({found.sizes})"
            return found
        names = (was if change.old else "/dev/null", path if change.new else "/dev/null")
        found.lines = _unified(before, after, *names)
        if not found.lines and before == after and (before or after):
            found.note = "The lines that differ hold secrets, which are masked: --reveal shows them."
        return found

    def _text(self, checkpoint: str, path: str, side: Side | None) -> str | None:
        """None when it is no text."""
        if side is None:
            return ""
        try:
            data = self._operator.file(checkpoint, path, reveal=self._reveal).data
        except Refused as refused:
            if refused.error == "not_text":
                return None
            raise
        try:
            return None if b"\0" in data else data.decode()
        except UnicodeDecodeError:
            return None


def quoted(path: str) -> str:
    """A path as git writes it: one with odd letters in quotes."""
    if path.isprintable() and not set(path) & set('"\\'):
        return path
    named = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    said = "".join(
        named.get(c) or (c if c.isprintable() else "".join(f"\\{b:03o}" for b in c.encode(errors="replace")))
        for c in path
    )
    return f'"{said}"'


def _unified(before: str, after: str, was: str, path: str) -> list[str]:
    sides = [text.split("\n")[: MOST_LINES + 1] for text in (before, after)]
    for text, lines in zip((before, after), sides, strict=True):
        if lines[-1] == "" and len(lines) <= MOST_LINES + 1:
            lines.pop()
        elif text:
            lines[-1] += "\n" + NO_END
    found = difflib.unified_diff(sides[0], sides[1], was, path, lineterm="")
    return [line for made in found for line in made.split("\n")]


def _extended(change: FileChange) -> list[str]:
    """What happened to it besides its lines, as git says it."""
    old, new = change.old, change.new
    if old is None and new is not None:
        return [f"new file mode {MODES.get(new.kind, '100644')}"]
    if new is None and old is not None:
        return [f"deleted file mode {MODES.get(old.kind, '100644')}"]
    said = []
    if old and new and old.kind != new.kind:
        said += [f"old mode {MODES.get(old.kind, '100644')}", f"new mode {MODES.get(new.kind, '100644')}"]
    if change.was:
        said += [f"rename from {quoted(change.was)}", f"rename to {quoted(change.path)}"]
    return said


def _is_same(change: FileChange) -> bool:
    """Whether no byte of it changed."""
    old, new = change.old, change.new
    return bool(old and new and old.name == new.name and old.target == new.target)


def _sizes(change: FileChange) -> str:
    sizes = [phrasing.size(side.size) for side in (change.old, change.new) if side]
    return " → ".join(dict.fromkeys(sizes))
