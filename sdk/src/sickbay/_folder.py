"""What a snapshot knows of a directory: its files as they were read, and the node that they make.

A `Kept` belongs to a path and says under which stamp (times, size, inode, mode) which bytes were read. A
`Folder` is never changed once it is closed, so that two snapshots share what is the same in both.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from sickbay._errors import SickbayError
from sickbay.tree import directory
from sickbay.tree.node import DIRECTORY, PLAIN_LIMIT, name_of

Stamp = tuple[int, int, int, int, int]
Fetch = Callable[[list[bytes]], Mapping[bytes, bytes]]


class WorkspaceRefused(SickbayError):
    """There can be no snapshot of the workspace; the message says why, and what to do."""


class Kept(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A file or link as it was read. `parts` (length, name) and `groups` are the nodes of a large file."""

    stamp: Stamp
    kind: int
    size: int
    name: bytes
    target: bytes = b""
    parts: tuple[tuple[int, bytes], ...] = ()
    groups: tuple[bytes, ...] = ()
    racy: bool = False  # it may have been written in the tick in which it was read: to be read again


class Found(NamedTuple):
    """A node that the snapshot before did not have. `base` names one like it, of which either the plain
    bytes are at hand (`old`) or only the fingerprints (`prints`)."""

    name: bytes
    plain: bytes
    items: int
    length: int
    base: bytes = b""
    prints: bytes = b""
    old: bytes = b""


Emit = Callable[[Found], None]


@dataclass(slots=True, eq=False)
class Folder:
    """A directory. `items`, `length`: files below, and their bytes. `ignored` has "/" after directories."""

    path: str
    files: dict[str, Kept] = field(default_factory=dict)
    folders: dict[str, Folder] = field(default_factory=dict)
    ignored: frozenset[str] = frozenset()
    body: bytes = b""
    items: int = 0
    length: int = 0
    name: bytes = b""  # of its node; empty when it stands in its parent

    @property
    def plain(self) -> bytes:
        return DIRECTORY + self.body

    def below(self) -> Iterator[Folder]:
        """It and the directories in it, from the outside in."""
        yield self
        for folder in self.folders.values():
            yield from folder.below()

    def names(self) -> set[bytes]:
        """The nodes of the whole tree."""
        found: set[bytes] = set()
        for folder in self.below():
            found.add(folder.name)
            for kept in folder.files.values():
                found.add(kept.name)
                found.update(kept.groups)
        found |= self.contents()
        found.discard(b"")
        return found

    def contents(self) -> set[bytes]:
        """The nodes that hold bytes of files."""
        found: set[bytes] = set()
        for folder in self.below():
            for kept in folder.files.values():
                if kept.parts:
                    found.update(name for _, name in kept.parts)
                elif kept.kind != directory.SYMLINK:
                    found.add(kept.name)
        return found


def stamp_of(status: os.stat_result) -> Stamp:
    return (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_mode)


def closed(folder: Folder, old: Folder | None, emit: Emit, is_root: bool = True) -> Folder:
    """The folder with its body and node, children first; the old one itself when nothing differs."""
    olds = old.folders if old else {}
    for name, child in folder.folders.items():
        folder.folders[name] = closed(child, olds.get(name), emit, False)
    if old and folder.files == old.files and folder.ignored == old.ignored and _same(folder, old):
        return old
    folder.body = directory.body_of(sorted(_entries(folder)))
    folder.items = sum(child.items for child in folder.folders.values())
    folder.length = sum(child.length for child in folder.folders.values())
    for kept in folder.files.values():
        if kept.kind != directory.SYMLINK:
            folder.items += 1
            folder.length += kept.size
    if is_root or len(folder.body) > directory.SMALL:
        plain = folder.plain
        if len(plain) > PLAIN_LIMIT:
            raise WorkspaceRefused(
                f"the directory {folder.path or '.'!r} has too many names for a checkpoint: divide it, or "
                "name it in .sickbayignore"
            )
        folder.name = name_of(plain)
        base, before = (old.name, old.plain) if old and old.name else (b"", b"")
        emit(Found(folder.name, plain, folder.items, folder.length, base, old=before))
    return folder


def _same(folder: Folder, old: Folder) -> bool:
    """Whether the directories in it are the very ones that the old folder had."""
    return folder.folders.keys() == old.folders.keys() and all(
        child is old.folders[name] for name, child in folder.folders.items()
    )


def _entries(folder: Folder) -> Iterator[directory.Entry]:
    for name, kept in folder.files.items():
        yield directory.Entry(os.fsencode(name), kept.kind, kept.size, kept.name, kept.target)
    for name, child in folder.folders.items():
        filename = os.fsencode(name)
        if child.name:
            yield directory.Entry(filename, directory.SUBDIRECTORY, name=child.name)
        else:
            yield directory.Entry(filename, directory.IN_PLACE, body=child.body)


class Change(NamedTuple):
    """A path that differs: `op` is added, removed or changed."""

    path: str
    op: str


def differing(one: bytes, other: bytes, fetch: Fetch) -> Iterator[Change]:
    """What differs between two trees of a workspace, by path; only directories that differ are fetched."""
    if one != other:
        nodes = fetch([one, other])
        yield from _differing(directory.entries_of(nodes[one]), directory.entries_of(nodes[other]), "", fetch)


def _differing(
    before: list[directory.Entry], after: list[directory.Entry], path: str, fetch: Fetch
) -> Iterator[Change]:
    olds = {entry.filename: entry for entry in before}
    news = {entry.filename: entry for entry in after}
    for filename in sorted(olds.keys() | news.keys()):
        old, new = olds.get(filename), news.get(filename)
        if old == new:
            continue
        below = path + os.fsdecode(filename)
        inside = [_inside(entry, fetch) for entry in (old, new)]
        if inside == [None, None]:
            yield Change(below, "changed" if old and new else "added" if new else "removed")
            continue
        for entry, entries, op in ((old, inside[0], "removed"), (new, inside[1], "added")):
            if entry and None in inside:
                yield Change(below + ("" if entries is None else "/"), op)
        yield from _differing(inside[0] or [], inside[1] or [], below + "/", fetch)


def _inside(entry: directory.Entry | None, fetch: Fetch) -> list[directory.Entry] | None:
    """The entries of a directory; None for anything else."""
    if entry is None or entry.kind not in (directory.SUBDIRECTORY, directory.IN_PLACE):
        return None
    if entry.kind == directory.IN_PLACE:
        return directory.entries_in(entry.body)
    return directory.entries_of(fetch([entry.name])[entry.name])
