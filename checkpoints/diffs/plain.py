"""A comparison as JSON for programs: values bounded and masked, and what is not shown is said in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from checkpoints import secrets
from checkpoints.diffs.items import Item, Path
from checkpoints.diffs.memory import Change, MemoryDiff
from checkpoints.diffs.workspace import FileChange, WorkspaceDiff
from sickbay.tree import node
from sickbay.tree.directory import EXECUTABLE, PLAIN_FILE, SYMLINK, Entry
from sickbay.tree.node import name_of
from sickbay.tree.read import Fetch, checked, data_of, links, text_of
from sickbay.tree.text import load

LONGEST_VALUE = 4_096
MOST_SHOWN = 1024 * 1024
KINDS = {PLAIN_FILE: "file", EXECUTABLE: "executable", SYMLINK: "link"}
MEMORY_OPS = ("add", "remove", "change", "move")
WORKSPACE_OPS = (*MEMORY_OPS, "mode")


def diff(memory: MemoryDiff, workspace: WorkspaceDiff, fetch: Fetch) -> dict[str, Any]:
    """`memory`, `workspace` and `stats`, as the API answers them."""
    showing = _Showing(memory.changes, fetch)
    listed = [showing.change(change) for change in memory.changes]
    complete = memory.complete and workspace.complete
    said = showing.said + ([] if complete else ["They differ in more than is loaded for one look."])
    stats = {
        "memory": _counted(MEMORY_OPS, (change.op for change in memory.changes)),
        "workspace": _counted(WORKSPACE_OPS, (change.op for change in workspace.changes)),
        "complete": complete,
        "said": said,
    }
    return {"memory": listed, "workspace": [_file(change) for change in workspace.changes], "stats": stats}


def _counted(ops: Iterable[str], found: Iterable[str]) -> dict[str, int]:
    counts = Counter(found)
    return {op: counts[op] for op in ops}


class _Showing:
    """Values are loaded together, the small ones alone, until there is enough of them."""

    def __init__(self, changes: list[Change], fetch: Fetch) -> None:
        self._left = MOST_SHOWN
        self._large = self._late = 0
        wanted = []
        for change in changes:
            wanted += [item for item in _sides(change) if self._fits(item)]
        self._shown = {id(item) for item in wanted}
        self._nodes = _loaded(wanted, fetch)

    @property
    def said(self) -> list[str]:
        large = f"{self._large} values are larger than {LONGEST_VALUE:,} bytes and not shown."
        late = f"{self._late} values are not shown: there are more than {MOST_SHOWN:,} bytes of them."
        return [large] * bool(self._large) + [late] * bool(self._late)

    def _fits(self, item: Item) -> bool:
        if item.length > LONGEST_VALUE:
            self._large += 1
            return False
        if item.length > self._left:
            self._late += 1
            return False
        self._left -= item.length
        return True

    def change(self, change: Change) -> dict[str, Any]:
        plain: dict[str, Any] = {"op": change.op, "path": list(change.path)}
        if change.was is not None:
            plain["was"] = list(change.was)
        for side, item in (("old", change.old), ("new", change.new)):
            if item is not None and not (change.op == "move" and side == "old"):
                plain |= self._value(side, item, change.path)
        return plain

    def _value(self, side: str, item: Item, path: Path) -> dict[str, Any]:
        if id(item) not in self._shown:
            return {side: None, f"{side}_not_shown": f"too large, shown as its size: {item.length:,} bytes"}
        return {side: secrets.masked_value(load(_text(item, self._nodes)), path)}


def _sides(change: Change) -> list[Item]:
    sides = (None if change.op == "move" else change.old, change.new)
    return [item for item in sides if item is not None]


def _loaded(items: Iterable[Item], fetch: Fetch) -> dict[bytes, bytes]:
    """All nodes of these values, a level at a time."""
    nodes: dict[bytes, bytes] = {}
    ahead: set[bytes] = set()
    for item in items:
        if item.piece is not None and item.piece.name:
            ahead.add(item.piece.name)
        elif item.piece is not None:
            nodes[name_of(item.piece.text)] = item.piece.text
            ahead.update(link.name for link in links(item.piece.text))
    while ahead := ahead - nodes.keys():
        level = checked(ahead, fetch)
        nodes |= level
        ahead = {link.name for plain in level.values() for link in links(plain)}
    return nodes


def _text(item: Item, nodes: dict[bytes, bytes]) -> bytes:
    if item.piece is None:
        return item.text
    read = data_of if item.piece.tag == node.BLOB else text_of
    return read(
        item.piece.name or name_of(item.piece.text), lambda names: {name: nodes[name] for name in names}
    )


def _file(change: FileChange) -> dict[str, Any]:
    plain: dict[str, Any] = {"op": change.op, "path": shown(change.path)}
    if change.was is not None:
        plain["was"] = shown(change.was)
    for side, entry in (("old", change.old), ("new", change.new)):
        if entry is not None:
            plain[side] = _entry(entry)
    return plain


def _entry(entry: Entry) -> dict[str, Any]:
    if entry.kind == SYMLINK:
        return {"kind": "link", "target": shown(entry.body)}
    return {"kind": KINDS.get(entry.kind, "other"), "size": entry.size, "name": entry.name.hex()}


def shown(path: bytes) -> str:
    """A path as text: what is no UTF-8 stands as its escapes."""
    return path.decode("utf-8", "backslashreplace")
