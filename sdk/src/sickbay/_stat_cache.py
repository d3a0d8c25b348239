"""What a snapshot knew of each file, kept over a restart. It may be lost at any time: then all is read again.

A file that is damaged, of another version, or about another directory is ignored.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import msgspec

from sickbay._folder import Folder, Kept, closed
from sickbay.tree.node import HASH

VERSION = 1


class Where(msgspec.Struct, frozen=True, array_like=True):
    """Which directory it is about."""

    path: bytes
    device: int
    inode: int


class _Stored(msgspec.Struct, array_like=True):
    version: int
    where: Where
    rules: bytes
    folders: list[tuple[bytes, list[bytes], list[tuple[bytes, Kept]]]]
    prints: dict[bytes, bytes]


class Known(NamedTuple):
    """What was loaded: the last snapshot's directory, its rules by their hash, fingerprints by node."""

    folder: Folder
    rules: bytes
    prints: dict[bytes, bytes]


def save(path: Path, where: Where, known: Known) -> None:
    """Whole or not at all; a full disk is no reason to fail."""
    stored = _Stored(VERSION, where, known.rules, [_packed(f) for f in known.folder.below()], known.prints)
    packed = msgspec.msgpack.encode(stored)
    fresh = path.with_name(path.name + ".new")
    with contextlib.suppress(OSError):
        fresh.write_bytes(hashlib.sha256(packed).digest() + packed)
        fresh.replace(path)
        return
    with contextlib.suppress(OSError):
        fresh.unlink()


def load(path: Path, where: Where) -> Known | None:
    """What was saved for this directory, or None."""
    try:
        data = path.read_bytes()
        packed = memoryview(data)[HASH:]
        if hashlib.sha256(packed).digest() != data[:HASH]:
            return None
        stored = msgspec.msgpack.decode(packed, type=_Stored)
    except (OSError, ValueError):
        return None
    if stored.version != VERSION or stored.where != where or not stored.folders:
        return None
    return Known(_unpacked(stored), stored.rules, stored.prints)


def _packed(folder: Folder) -> tuple[bytes, list[bytes], list[tuple[bytes, Kept]]]:
    return (
        os.fsencode(folder.path),
        [os.fsencode(name) for name in folder.ignored],
        [(os.fsencode(name), kept) for name, kept in folder.files.items()],
    )


def _unpacked(stored: _Stored) -> Folder:
    folders: dict[str, Folder] = {}
    for path, ignored, files in stored.folders:
        name = os.fsdecode(path)
        kept = {os.fsdecode(filename): one for filename, one in files}
        folder = Folder(name, kept, ignored=frozenset(map(os.fsdecode, ignored)))
        folders[name] = folder
        if name:
            above, _, own = name.removesuffix("/").rpartition("/")
            folders[above + "/" if above else ""].folders[own] = folder
    return closed(folders[""], None, lambda found: None)
