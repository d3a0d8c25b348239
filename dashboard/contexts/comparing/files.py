"""The differences of two workspaces: directories with their files, how many lines came and went, and the
lines of one file. Names are bytes that anyone may have chosen; templates show them with `named`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlencode
from uuid import UUID

from checkpoints import secrets
from checkpoints.compared import Pair
from checkpoints.diffs import lines, places
from checkpoints.diffs.lines import Line, Unified
from checkpoints.diffs.workspace import EXECUTABLE, FILES, SYMLINK, Entry, FileChange, WorkspaceDiff
from dashboard import phrasing
from dashboard.contexts.comparing import paths

SHOWN = 200
COUNTED, COUNTED_ALL = 262_144, 3_145_728  # bytes of a file, and of all, whose lines are counted
DIFFED = 1_048_576
LINES, OPEN_LINES, OPEN_FILES = 600, 60, 3
WIDEST = 600


@dataclass(frozen=True, slots=True)
class File:
    """One changed file. `added` None: its lines were not counted."""

    path: bytes
    name: bytes
    op: str
    note: str
    added: int | None
    removed: int | None
    query: str
    was: bytes


@dataclass(slots=True)
class Folder:
    path: bytes
    files: list[File] = field(default_factory=list)

    @property
    def added(self) -> int:
        return sum(file.added or 0 for file in self.files)

    @property
    def removed(self) -> int:
        return sum(file.removed or 0 for file in self.files)


@dataclass(frozen=True, slots=True)
class Opened:
    """The lines of one file, or why there are none. `takes` are the checkpoints that have it."""

    path: bytes
    was: bytes
    note: str
    added: int
    removed: int
    unified: Unified | None
    masked: bool
    query: str
    takes: tuple[tuple[str, UUID, str], ...]
    is_new: bool = False

    @property
    def at(self) -> str:
        return paths.file_written(self.path)

    @property
    def has_two_sides(self) -> bool:
        return bool(self.added and self.removed)

    @property
    def beside(self) -> list[list[tuple[Line | None, Line | None]]]:
        return [lines.beside(hunk) for hunk in self.unified.hunks] if self.unified else []

    @property
    def before(self) -> str:
        return paths.file_written(self.was)

    @property
    def goes_back(self) -> str:
        """What the roll-back page is asked for so that this file goes back; "" where it cannot be named."""
        if self.path.decode("utf-8", "replace").encode() != self.path:
            return ""
        return f"?{urlencode({'scope': 'files', 'path': self.at})}"

    @property
    def id(self) -> str:
        return f"f-{hashlib.sha256(self.path).hexdigest()[:12]}"


@dataclass(frozen=True, slots=True)
class Tree:
    folders: list[Folder]
    left: int
    added: int
    removed: int
    opened: list[Opened]


def tree(pair: Pair, diff: WorkspaceDiff, wanted: str) -> Tree:
    """The changed files by directory; small diffs are open already."""
    changes = [one for one in diff.changes if wanted.lower() in one.path.decode("utf-8", "replace").lower()]
    shown = changes[:SHOWN]
    data = places.files(_countable(shown), pair.fetch)
    folders: dict[bytes, Folder] = {}
    opened: list[Opened] = []
    left = OPEN_LINES
    for change in shown:
        texts = _texts(change, data)
        counts = lines.count(*texts) if texts else None
        directory, _, name = change.path.rpartition(b"/")
        folders.setdefault(directory, Folder(directory)).files.append(_file(change, name, counts, data))
        if counts and 0 < sum(counts) <= left and len(opened) < OPEN_FILES:
            left -= sum(counts) + 2 * lines.AROUND
            opened.append(_opened(pair, change, data, mask=True))
    files = [file for folder in folders.values() for file in folder.files]
    return Tree(
        sorted(folders.values(), key=lambda folder: folder.path),
        len(changes) - len(shown),
        sum(file.added or 0 for file in files),
        sum(file.removed or 0 for file in files),
        opened,
    )


def one(pair: Pair, path: bytes, was: bytes, *, mask: bool) -> Opened | None:
    """One file's lines, by its path now and before."""
    sides = [_entry(pair, was, old=True), _entry(pair, path, old=False)]
    old, new = (None if side is not None and side.kind not in (*FILES, SYMLINK) else side for side in sides)
    if old is None and new is None:
        return None
    op = "add" if old is None else "remove" if new is None else "change" if old != new else "same"
    change = FileChange(op if op != "same" else "move", path, old, new, was)  # type: ignore[arg-type]
    fits = [side for side in (old, new) if side and side.kind in FILES and side.size <= DIFFED]
    return _opened(pair, change, places.files(fits, pair.fetch), mask=mask)


def query_of(change: FileChange) -> str:
    was = change.was if change.was is not None else change.path
    return f"?{urlencode({'path': paths.file_written(change.path), 'was': paths.file_written(was)})}"


def _entry(pair: Pair, path: bytes, *, old: bool) -> Entry | None:
    root = pair.root("workspace", old=old)
    return places.entry(root, path, pair.fetch) if root is not None else None


def _sides(change: FileChange) -> list[Entry]:
    return [side for side in (change.old, change.new) if side is not None]


def _countable(changes: Iterable[FileChange]) -> list[Entry]:
    """The files whose lines are counted: regular, changed, small, and not too many together."""
    found: list[Entry] = []
    left = COUNTED_ALL
    for change in changes:
        sides = [side for side in _sides(change) if side.kind in FILES]
        size = sum(side.size for side in sides)
        if (
            change.op in ("add", "remove", "change")
            and size <= left
            and all(s.size <= COUNTED for s in sides)
        ):
            left -= size
            found += sides
    return found


def _texts(change: FileChange, data: dict[bytes, bytes]) -> tuple[list[str], list[str]] | None:
    """The lines of both sides; None unless both are text that was loaded."""
    both = []
    for side in (change.old, change.new):
        text = "" if side is None else _text(side, data)
        if text is None:
            return None
        both.append(lines.split(text))
    return both[0], both[1]


def _text(side: Entry, data: dict[bytes, bytes]) -> str | None:
    found = data.get(side.name) if side.kind in FILES else None
    if found is None or b"\0" in found[:8_000]:
        return None
    try:
        return found.decode()
    except UnicodeDecodeError:
        return None


def _file(change: FileChange, name: bytes, counts: tuple[int, int] | None, data: dict[bytes, bytes]) -> File:
    added, removed = counts if counts else (None, None)
    note = "; ".join(filter(None, (_note(change), "" if counts else _size(change, data))))
    return File(change.path, name, change.op, note, added, removed, query_of(change), change.was or b"")


def _note(change: FileChange) -> str:
    """What happened to it besides its lines."""
    old, new = change.old, change.new
    said = {"add": "new", "remove": "deleted"}.get(change.op, "")
    kinds = {side.kind for side in (old, new) if side}
    if SYMLINK in kinds:
        return " ".join(filter(None, (said, "link" if kinds == {SYMLINK} else "link and file")))
    if old and new and old.kind != new.kind:
        return "now executable" if new.kind == EXECUTABLE else "no longer executable"
    return said


def _size(change: FileChange, data: dict[bytes, bytes]) -> str:
    """What is known of a file whose lines are not shown."""
    sides = [side for side in _sides(change) if side.kind in FILES]
    if not sides or change.op in ("move", "mode"):
        return ""
    kind = "binary, " if all(side.name in data for side in sides) else ""
    old, new = change.old, change.new
    if old and new and old.kind in FILES and new.kind in FILES:
        return f"{kind}{phrasing.sizes(old.size, new.size)}"
    return f"{kind}{phrasing.size(sides[-1].size)}"


def _opened(pair: Pair, change: FileChange, data: dict[bytes, bytes], *, mask: bool) -> Opened:
    texts = _texts(change, data)
    unified, masked, counts = None, False, (0, 0)
    if texts and change.op != "mode":
        shown = [secrets.masked("\n".join(side)).split("\n") for side in texts] if mask else [*texts]
        masked = any(a != b for a, b in zip(shown, texts, strict=True)) and texts != ([], [])
        masked = masked and any("".join(a) != "".join(b) for a, b in zip(shown, texts, strict=True))
        cut = [[line[:WIDEST] + ("…" if len(line) > WIDEST else "") for line in side] for side in shown]
        unified = lines.unified(*texts, (cut[0], cut[1]), most=LINES)
        counts = lines.count(*texts)
    was = change.was if change.was is not None else change.path
    return Opened(
        change.path, was, "" if unified and unified.hunks else _why(change, data, texts), *counts, unified,
        masked, query_of(change), tuple(_takes(pair, change, was)), change.old is None,
    )  # fmt: skip


def _why(change: FileChange, data: dict[bytes, bytes], texts: tuple[list[str], list[str]] | None) -> str:
    """Why no lines are shown: by size and by hash."""
    sides = _sides(change)
    if any(side.kind == SYMLINK for side in sides):
        return "Now and before: " + " → ".join(_target(side) for side in sides)
    hashes = " → ".join(dict.fromkeys(side.name.hex()[:12] for side in sides))
    if len({side.name for side in sides}) == 1 and len(sides) == 2:
        return f"The same bytes, {phrasing.size(sides[0].size)}, hash {hashes}."
    if texts:
        return "Only the ends of lines differ, or it is empty."
    sizes = " → ".join(phrasing.size(side.size) for side in sides)
    too_large = any(side.size > DIFFED for side in sides)
    what = "Too large, shown as its size" if too_large else "Binary, shown as its size"
    return f"{what}: {sizes}, hash {hashes}."


def _target(side: Entry) -> str:
    return f"link to {side.body.decode('utf-8', 'surrogateescape')}" if side.kind == SYMLINK else "a file"


def _takes(pair: Pair, change: FileChange, was: bytes) -> list[tuple[str, UUID, str]]:
    """Which of the two checkpoints have the file, for a download."""
    sides = (("older", pair.old.pk, was, change.old), ("newer", pair.new.pk, change.path, change.new))
    return [
        (word, pk, paths.file_written(path)) for word, pk, path, side in sides if side and side.kind in FILES
    ]
