"""What is in one checkpoint: a value of its memory, the list of its files, the bytes of one.

Secrets are masked as on the screen, unless the caller has had it written down that they are shown as they are
(services/keeping.reveal). Only what leads to the place is loaded, and no more of it than fits in one answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from checkpoints import secrets, store
from checkpoints.diffs import places
from checkpoints.diffs.items import Item, Path
from checkpoints.diffs.plain import shown
from checkpoints.models import Checkpoint
from sickbay.tree.directory import IN_PLACE, SUBDIRECTORY, SYMLINK, Entry, entries_in, entries_of
from sickbay.tree.node import BadNode
from sickbay.tree.read import Fetch, checked
from sickbay.tree.text import dump, load

MOST, MOST_MASKED = 64 * 1024 * 1024, 8 * 1024 * 1024
MOST_DIRECTORIES, MOST_BELOW = 50_000, 24 * 1024 * 1024
LONGEST_PATH, STEPS = 4_000, 80


class TooLarge(Exception):
    """It has more bytes than one answer holds."""

    def __init__(self, size: int, most: int) -> None:
        super().__init__(f"It has {size:,} bytes; one answer holds {most:,}.")


class NotText(Exception):
    """It is no text, so no secret in it can be masked."""


@dataclass(frozen=True, slots=True)
class Part:
    """The bytes as they are answered, and whether a secret in them was masked."""

    data: bytes
    masked: bool = False


class Listed(NamedTuple):
    """A file, a link, or a directory with nothing in it."""

    path: bytes
    entry: Entry


def place(text: str) -> Path | None:
    """A place in a memory: a JSON list of steps, or steps with dots between them; None when it is neither."""
    if len(text) > LONGEST_PATH:
        return None
    if not text.startswith("["):
        steps: list[Any] = text.split(".") if text else []
    else:
        try:
            steps = json.loads(text)
        except (ValueError, RecursionError):
            return None
    if len(steps) > STEPS:
        return None
    return tuple(steps) if all(isinstance(step, str) or type(step) is int for step in steps) else None


def value(checkpoint: Checkpoint, path: Path, *, reveal: bool) -> Part | None:
    """The JSON text of what stands at the path; None where nothing stands."""
    found = item(checkpoint, path)
    if found is None:
        return None
    there, walked = found
    _fits(there.length, reveal)
    (text,) = places.texts([there], fetching(checkpoint))
    if reveal:
        return Part(text)
    masked = dump(secrets.masked_value(load(text), walked))
    return Part(masked, masked != text)


def item(checkpoint: Checkpoint, path: Path) -> tuple[Item, Path] | None:
    """What stands at the path, not yet loaded, and the path as the tree has it."""
    way = walk(checkpoint, path)
    return way[-1] if len(way) == len(path) + 1 else None


def walk(checkpoint: Checkpoint, path: Path) -> list[tuple[Item, Path]]:
    """What stands on the way, from the whole memory on, as far as it leads.

    In the paths the places of lists are numbers, however they were written.
    """
    if checkpoint.memory is None:
        return []
    fetch = fetching(checkpoint)
    way: list[tuple[Item, Path]] = [(places.whole(bytes(checkpoint.memory), fetch), ())]
    for step in path:
        there, walked = way[-1]
        spelled = _spelled(there, step, fetch)
        inner = places.inside(there, spelled, fetch)
        if inner is None:
            break
        way.append((inner, (*walked, spelled)))
    return way


def spelled(checkpoint: Checkpoint, path: Path) -> Path:
    """The path as the tree has it, as far as it leads, and one step further into a list."""
    way = walk(checkpoint, path)
    if not way or len(way) > len(path):
        return way[-1][1] if way else path
    there, walked = way[-1]
    return (*walked, _spelled(there, path[len(walked)], fetching(checkpoint)), *path[len(walked) + 1 :])


def _spelled(within: Item, step: str | int, fetch: Fetch) -> str | int:
    """`3` is a place where it leads into a list, and a key elsewhere."""
    is_number = isinstance(step, str) and step.isascii() and step.isdigit() and len(step) < 10
    return int(step) if is_number and places.is_list(within, fetch) else step


def entry(checkpoint: Checkpoint, path: str) -> Listed | None:
    """What stands at this path, which is written as the list writes it."""
    way = way_to(checkpoint, path)
    return way[-1] if len(way) == path.count("/") + 2 else None


def way_to(checkpoint: Checkpoint, path: str) -> list[Listed]:
    """What stands on the way to it, from the whole workspace on, as far as it leads."""
    if checkpoint.workspace is None:
        return []
    fetch = fetching(checkpoint)
    found = Listed(b"", Entry(b"", SUBDIRECTORY, name=bytes(checkpoint.workspace)))
    way = [found]
    for part in path.split("/"):
        inside = _inside(found.entry, fetch)
        exact = part.encode("utf-8", "surrogatepass")
        one = next((one for one in inside if one.filename == exact), None)
        one = one or next((one for one in inside if shown(one.filename) == part), None)
        if one is None:
            return way
        found = Listed(found.path + b"/" + one.filename if found.path else one.filename, one)
        way.append(found)
    return way


def inside(checkpoint: Checkpoint, directory: Listed) -> list[Entry]:
    return _inside(directory.entry, fetching(checkpoint))


def data(checkpoint: Checkpoint, found: Entry, *, reveal: bool) -> Part:
    """The bytes of a file, or where a link leads."""
    if found.kind == SYMLINK:
        return Part(found.body)
    _fits(found.size, reveal)
    whole = places.files([found], fetching(checkpoint))[found.name]
    if reveal:
        return Part(whole)
    if b"\0" in whole:
        raise NotText
    masked = secrets.masked(whole.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
    return Part(masked, masked != whole)


def listed(checkpoint: Checkpoint, *, under: Listed | None, after: bytes, limit: int) -> list[Listed]:
    """What is in the workspace, directory by directory, behind a path; at most one more than `limit`."""
    if checkpoint.workspace is None:
        return []
    start = under or Listed(b"", Entry(b"", SUBDIRECTORY, name=bytes(checkpoint.workspace)))
    walk = _Walk(_directories(start.entry, fetching(checkpoint)))
    return list(islice(walk.below(start, after.split(b"/") if after else []), limit + 1))


class _Walk:
    """Shared directories may make a tree of few bytes endless, so it is walked only so far."""

    def __init__(self, nodes: dict[bytes, bytes]) -> None:
        self._nodes, self._left = nodes, MOST_DIRECTORIES

    def below(self, directory: Listed, after: list[bytes]) -> Iterator[Listed]:
        """`after` is a path below the directory; what comes before it is not opened."""
        self._left -= 1
        if self._left < 0:
            raise BadNode(f"more than {MOST_DIRECTORIES:,} directories")
        for one in _inside(directory.entry, lambda names: {name: self._nodes[name] for name in names}):
            if after and one.filename < after[0]:
                continue
            rest = after[1:] if after and one.filename == after[0] else []
            if after and one.filename == after[0] and not rest:
                continue
            path = directory.path + b"/" + one.filename if directory.path else one.filename
            if one.kind in (SUBDIRECTORY, IN_PLACE) and not self._is_empty(one):
                yield from self.below(Listed(path, one), rest)
            elif not rest:
                yield Listed(path, one)

    def _is_empty(self, directory: Entry) -> bool:
        return not (directory.body if directory.kind == IN_PLACE else self._nodes[directory.name][2:])


def _directories(start: Entry, fetch: Fetch) -> dict[bytes, bytes]:
    """All directories below one, a level at a time."""
    nodes: dict[bytes, bytes] = {}
    ahead = [start.name] if start.kind == SUBDIRECTORY else list(_named(entries_in(start.body)))
    size = 0
    while ahead:
        level = checked(ahead, fetch)
        nodes |= level
        size += sum(map(len, level.values()))
        if size > MOST_BELOW:
            raise TooLarge(size, MOST_BELOW)
        found = [name for plain in level.values() for name in _named(entries_of(plain))]
        ahead = [name for name in dict.fromkeys(found) if name not in nodes]
    return nodes


def _named(entries: list[Entry]) -> Iterator[bytes]:
    """The directories that are nodes, also below those in place."""
    for one in entries:
        if one.kind == SUBDIRECTORY:
            yield one.name
        elif one.kind == IN_PLACE:
            yield from _named(entries_in(one.body))


def _inside(entry: Entry, fetch: Fetch) -> list[Entry]:
    if entry.kind == IN_PLACE:
        return entries_in(entry.body)
    return entries_of(checked([entry.name], fetch)[entry.name]) if entry.kind == SUBDIRECTORY else []


def fetching(checkpoint: Checkpoint) -> Fetch:
    return lambda names: store.fetch(checkpoint.project_id, names)


def _fits(size: int, reveal: bool) -> None:
    most = MOST if reveal else MOST_MASKED
    if size > most:
        raise TooLarge(size, most)
