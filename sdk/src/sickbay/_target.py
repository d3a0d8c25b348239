"""The directories of a tree that is to be restored, read and judged as a whole before anything is written.

Each directory node is fetched and judged once, however often it stands in the tree; totals are summed node by
node, so that a tree which shares its subtrees to grow without end is refused before anybody walks it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from sickbay import _names
from sickbay._errors import RestoreRefused
from sickbay._names import Folding, shown
from sickbay.tree.directory import DEEPEST, IN_PLACE, SUBDIRECTORY, SYMLINK, Entry, entries_in, entries_of
from sickbay.tree.node import BadNode
from sickbay.tree.read import Fetch, checked

AT_ONCE = 256  # nodes that are asked for at a time


@dataclass(frozen=True, slots=True)
class Limits:
    """What a workspace may hold at most."""

    entries: int = 10_000_000
    links: int = 1_000_000
    bytes: int = 1 << 40
    file: int = 1 << 37
    depth: int = DEEPEST


class _Sum(NamedTuple):
    """What stands in a directory and below."""

    entries: int
    bytes: int
    links: int
    depth: int


@dataclass(slots=True)
class Target:
    """The tree: `top` are its root's entries; `below` gives those of a directory in it."""

    root: bytes
    nodes: dict[bytes, list[Entry]] = field(default_factory=dict)
    in_place: dict[bytes, list[Entry]] = field(default_factory=dict)

    @property
    def top(self) -> list[Entry]:
        return self.nodes[self.root]

    def below(self, entry: Entry) -> list[Entry]:
        return self.in_place[entry.body] if entry.kind == IN_PLACE else self.nodes[entry.name]


def read(root: bytes, fetch: Fetch, folding: Folding, limits: Limits) -> Target:
    """The tree, or RestoreRefused with the name that is wrong in it."""
    target = Target(root)
    try:
        _load(target, fetch, folding, limits)
        total = _Judge(target, limits).total()
        if total.links:
            _judge_links(target)
    except (BadNode, ValueError) as error:
        raise RestoreRefused(f"the checkpoint's workspace cannot be used: {error}") from None
    return target


def _load(target: Target, fetch: Fetch, folding: Folding, limits: Limits) -> None:
    wanted, count, depth = [target.root], 0, 0
    while wanted:
        if depth > limits.depth:
            raise BadNode(f"its directories stand more than {limits.depth} deep")
        ahead: list[bytes] = []
        depth += 1
        for start in range(0, len(wanted), AT_ONCE):
            for name, plain in checked(wanted[start : start + AT_ONCE], fetch).items():
                entries = target.nodes[name] = entries_of(plain)
                ahead += _judged(target, entries, folding)
                count += len(entries)
                if count > limits.entries:
                    raise BadNode(f"it has more than {limits.entries:,} entries")
        wanted = [name for name in dict.fromkeys(ahead) if name not in target.nodes]


def _judged(target: Target, entries: list[Entry], folding: Folding) -> list[bytes]:
    """The directory nodes below, when every name here is one that may be written."""
    known: dict[str | bytes, bytes] = {}
    folds = folding.case or folding.form
    ahead = []
    for entry in entries:
        name = entry.filename
        wrong = _names.fault(name, folding)
        if wrong is not None:
            raise RestoreRefused(f"{wrong}; nothing was restored", path=shown(name))
        other = known.setdefault(folding.key(name), name) if folds else name
        if other is not name:
            raise RestoreRefused(
                f"and {shown(other)} are one file on this file system; nothing was restored",
                path=shown(name),
            )
        if entry.kind == SUBDIRECTORY:
            ahead.append(entry.name)
        elif entry.kind == IN_PLACE and entry.body not in target.in_place:
            inner = target.in_place[entry.body] = entries_in(entry.body)
            ahead += _judged(target, inner, folding)
    return ahead


class _Judge:
    """Sums up a tree whose directories may be shared."""

    def __init__(self, target: Target, limits: Limits) -> None:
        self._target, self._limits = target, limits
        self._sums: dict[bytes, _Sum] = {}

    def total(self) -> _Sum:
        return self._sum(self._target.top, 0)

    def _sum(self, entries: list[Entry], depth: int) -> _Sum:
        if depth > self._limits.depth:
            raise BadNode(f"its directories stand more than {self._limits.depth} deep")
        count, size, links, deep = len(entries), 0, 0, 0
        for entry in entries:
            if entry.kind in (SUBDIRECTORY, IN_PLACE):
                inner = self._directory(entry, depth + 1)
                count, size, links = count + inner.entries, size + inner.bytes, links + inner.links
                deep = max(deep, inner.depth + 1)
            elif entry.kind == SYMLINK:
                links += 1
            else:
                size += entry.size
                self._judge_file(entry)
        total = _Sum(count, size, links, deep)
        self._judge(total, depth)
        return total

    def _directory(self, entry: Entry, depth: int) -> _Sum:
        if entry.kind == IN_PLACE:
            return self._sum(self._target.below(entry), depth)
        found = self._sums.get(entry.name)
        if found is None:
            found = self._sums[entry.name] = self._sum(self._target.below(entry), depth)
        else:
            self._judge(found, depth)
        return found

    def _judge_file(self, entry: Entry) -> None:
        if entry.size > self._limits.file:
            raise RestoreRefused(
                f"has {entry.size:,} bytes, more than the {self._limits.file:,} of one file; "
                "nothing was restored",
                path=shown(entry.filename),
            )

    def _judge(self, total: _Sum, depth: int) -> None:
        limits = self._limits
        if total.entries > limits.entries:
            raise BadNode(f"it has more than {limits.entries:,} entries")
        if total.bytes > limits.bytes:
            raise BadNode(f"it has more than {limits.bytes:,} bytes")
        if total.links > limits.links:
            raise BadNode(f"it has more than {limits.links:,} links")
        if depth + total.depth > limits.depth:
            raise BadNode(f"its directories stand more than {limits.depth} deep")


def _judge_links(target: Target) -> None:
    targets: dict[bytes, bytes] = {}
    without: set[bytes] = set()
    _gather(target, target.top, b"", targets, without)
    links = _names.Links(targets)
    for path in targets:
        if links.leads_out(path):
            raise RestoreRefused(
                f"is a link to {shown(targets[path])}, outside of the workspace; nothing was restored",
                path=shown(path),
            )


def _gather(
    target: Target, entries: list[Entry], path: bytes, targets: dict[bytes, bytes], without: set[bytes]
) -> None:
    """Every link below with its path; a directory node without any is looked at once."""
    for entry in entries:
        below = path + entry.filename
        if entry.kind == SYMLINK:
            targets[below] = entry.body
        elif entry.kind in (SUBDIRECTORY, IN_PLACE) and entry.name not in without:
            before = len(targets)
            _gather(target, target.below(entry), below + b"/", targets, without)
            if entry.name and len(targets) == before:
                without.add(entry.name)
