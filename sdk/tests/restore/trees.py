"""Workspaces as plain data: written to a disk, read from it, grown into trees, and trees nobody grew.

A workspace is a dict of names: bytes are a file, `Program` one that runs, `Link` a link, a dict a directory.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sickbay.tree import directory, files
from sickbay.tree.directory import EXECUTABLE, IN_PLACE, PLAIN_FILE, SMALL, SUBDIRECTORY, SYMLINK, Entry
from sickbay.tree.node import BYTES, DIRECTORY, name_of, varint

Spec = dict[str, Any]


class Program(bytes):
    """A file that may be run."""


class Link(bytes):
    """A link, by its target."""


@dataclass
class Store:
    """Nodes by name; `asked` counts what was fetched."""

    nodes: dict[bytes, bytes] = field(default_factory=dict)
    asked: list[bytes] = field(default_factory=list)

    def __call__(self, names: list[bytes]) -> Mapping[bytes, bytes]:
        self.asked += names
        return {name: self.nodes[name] for name in names if name in self.nodes}

    def put(self, plain: bytes, items: int = 0, length: int = 0) -> bytes:
        name = name_of(plain)
        self.nodes[name] = plain
        return name

    def file(self, content: bytes) -> bytes:
        return files.grown(content, self.put)

    def grow(self, spec: Spec) -> bytes:
        """The root of a workspace's tree."""
        return self.put(DIRECTORY + self._body(spec))

    def _body(self, spec: Spec) -> bytes:
        return directory.body_of(sorted(self._entry(os.fsencode(name), what) for name, what in spec.items()))

    def _entry(self, name: bytes, what: Any) -> Entry:
        if isinstance(what, Link):
            return Entry(name, SYMLINK, body=bytes(what))
        if isinstance(what, bytes):
            kind = EXECUTABLE if isinstance(what, Program) else PLAIN_FILE
            return Entry(name, kind, len(what), self.file(bytes(what)))
        body = self._body(what)
        if len(body) <= SMALL:
            return Entry(name, IN_PLACE, body=body)
        return Entry(name, SUBDIRECTORY, name=self.put(DIRECTORY + body))

    def forged(self, *entries: bytes) -> bytes:
        """The root of a directory with these very bytes as its entries."""
        return self.put(DIRECTORY + b"".join(entries))


def entry(name: bytes, kind: int = PLAIN_FILE, rest: bytes | None = None) -> bytes:
    """The bytes of an entry, whatever its name."""
    return varint(len(name)) + name + bytes((kind,)) + (FILE if rest is None else rest)


HELLO = BYTES + b"hello\n"
FILE = varint(6) + name_of(HELLO)


def link(name: bytes, target: bytes) -> bytes:
    return entry(name, SYMLINK, varint(len(target)) + target)


def folder(name: bytes, *entries: bytes) -> bytes:
    body = b"".join(entries)
    return entry(name, IN_PLACE, varint(len(body)) + body)


def lay(where: Path, spec: Spec) -> None:
    """Write a workspace to the disk."""
    where.mkdir(exist_ok=True)
    for name, what in spec.items():
        path = where / name
        if isinstance(what, Link):
            os.symlink(os.fsdecode(bytes(what)), path)
        elif isinstance(what, bytes):
            path.write_bytes(what)
            path.chmod(0o755 if isinstance(what, Program) else 0o644)
        else:
            lay(path, what)


def on_disk(where: Path) -> Spec:
    """The workspace as it stands, without what is Sickbay's."""
    found: Spec = {}
    for path in where.iterdir():
        if path.name == ".sickbay":
            continue
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            found[path.name] = Link(os.fsencode(os.readlink(path)))
        elif stat.S_ISDIR(mode):
            found[path.name] = on_disk(path)
        elif stat.S_ISREG(mode):
            content = path.read_bytes()
            found[path.name] = Program(content) if mode & stat.S_IXUSR else content
    return kinds(found)


def kinds(spec: Spec) -> Spec:
    """The same, where a program, a link and a file of the same bytes differ."""
    return {
        name: kinds(what)
        if isinstance(what, dict)
        else what
        if isinstance(what, tuple)
        else (type(what), bytes(what))
        for name, what in spec.items()
    }


@dataclass
class Snapped:
    """A directory as a snapshot knows it."""

    files: dict[str, Any] = field(default_factory=dict)
    folders: dict[str, Snapped] = field(default_factory=dict)


@dataclass
class SnappedFile:
    stamp: tuple[int, int, int, int, int]
    name: bytes
    target: bytes = b""
    racy: bool = False


def snapped(where: Path) -> Snapped:
    """What a snapshot taken now would know."""
    known = Snapped()
    for path in where.iterdir():
        found = path.lstat()
        stamp = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_mode)
        if stat.S_ISDIR(found.st_mode):
            if path.name != ".sickbay":
                known.folders[path.name] = snapped(path)
        elif stat.S_ISLNK(found.st_mode):
            known.files[path.name] = SnappedFile(stamp, b"", os.fsencode(os.readlink(path)))
        elif stat.S_ISREG(found.st_mode):
            known.files[path.name] = SnappedFile(stamp, Store().file(path.read_bytes()))
    return known
