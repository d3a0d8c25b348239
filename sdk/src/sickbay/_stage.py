"""The stage: what a restore will put into place, complete, proven by its name and on the disk beforehand."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from sickbay._below import DIRECTORY, READ, WRITE, content_name, made, removed_tree
from sickbay._failpoints import failpoint
from sickbay._journal import Step
from sickbay._names import shown
from sickbay._place import Place
from sickbay.tree import node
from sickbay.tree.directory import EXECUTABLE, SYMLINK
from sickbay.tree.files import ONE
from sickbay.tree.files import TARGET as PART
from sickbay.tree.node import BYTES, BadNode, name_of
from sickbay.tree.read import Fetch, checked

T = TypeVar("T")
STAGE, ASIDE = b"stage", b"aside"
AT_ONCE, BYTES_AT_ONCE = 256, 16 * ONE
DEEPEST = 16  # file nodes inside of each other
TOGETHER, OPEN_AT_ONCE = 8, 64  # threads, and files that are held open


class Stage:
    """The directory `.sickbay/stage/<name>`, open; in it also what will be kept aside."""

    def __init__(self, place: Place, name: str, fetch: Fetch | None) -> None:
        self.name, self._fetch = name, fetch
        made(STAGE, place.own_fd)
        top = os.open(STAGE, DIRECTORY, dir_fd=place.own_fd)
        try:
            made(name.encode(), top)
            self.fd = os.open(name.encode(), DIRECTORY, dir_fd=top)
            os.fsync(top)
        finally:
            os.close(top)

    def close(self) -> None:
        os.close(self.fd)

    def remove(self, place: Place) -> None:
        """Nothing is left of it."""
        top = os.open(STAGE, DIRECTORY, dir_fd=place.own_fd)
        try:
            removed_tree(self.name.encode(), top)
        finally:
            os.close(top)

    def fill(self, puts: Iterable[Step], modes: dict[bytes, int]) -> None:
        """Write all of it; `modes` are permissions that a path keeps from what stood there."""
        for batch in _batches(puts):
            nodes = self._nodes({step.node for step in batch if step.kind != SYMLINK and step.size <= ONE})
            for step in batch:
                self._write(step, nodes, modes.get(step.path))
                failpoint("restore:staging")

    def flush(self, puts: Iterable[Step]) -> None:
        """Everything staged is on the disk when this returns."""
        files = [step for step in puts if step.kind != SYMLINK]
        for start in range(0, len(files), OPEN_AT_ONCE):
            batch = files[start : start + OPEN_AT_ONCE]
            fds = [os.open(_file(step), READ, dir_fd=self.fd) for step in batch]
            try:
                together(os.fsync, fds)
            finally:
                for fd in fds:
                    os.close(fd)
        os.fsync(self.fd)

    def holds(self, step: Step) -> bool:
        """Whether the staged file of this step is there, and is what it should be."""
        try:
            if step.kind == SYMLINK:
                return os.readlink(_file(step), dir_fd=self.fd) == step.target
            return content_name(_file(step), self.fd) == step.node
        except OSError:
            return False

    def refill(self, step: Step) -> bool:
        """Write one again; False where its content cannot be had."""
        if self._fetch is None and step.kind != SYMLINK:
            return False
        removed_tree(_file(step), self.fd)
        self.fill([step], {})
        self.flush([step])
        return True

    def _nodes(self, names: set[bytes]) -> dict[bytes, bytes]:
        if names and self._fetch is None:
            raise BadNode("the contents of files cannot be had here")
        return checked(names, self._fetch) if self._fetch else {}

    def _write(self, step: Step, nodes: dict[bytes, bytes], mode: int | None) -> None:
        if step.kind == SYMLINK:
            os.symlink(step.target, _file(step), dir_fd=self.fd)
            return
        runs = step.kind == EXECUTABLE
        fd = os.open(_file(step), WRITE, 0o755 if runs else 0o644, dir_fd=self.fd)
        with open(fd, "wb", buffering=0) as file:
            size = 0
            for block in self._blocks(step, nodes):
                size += len(block)
                _write_all(fd, block)
            if size != step.size:
                raise BadNode(f"{shown(step.path)} should have {step.size:,} bytes, and has {size:,}")
            _set_mode(file.fileno(), mode, runs)

    def _blocks(self, step: Step, nodes: dict[bytes, bytes]) -> Iterator[bytes]:
        plain = nodes.get(step.node)
        if plain is not None:
            if plain[:2] != BYTES:
                raise BadNode(f"{shown(step.path)} is not stored as a file of its size")
            yield plain[2:]
            return
        yield from self._large(step)

    def _large(self, step: Step) -> Iterator[bytes]:
        """A file of parts: each has some length, they are as many as an honest file has, and as long."""
        ahead = [(step.size, step.node, 0)]
        most = 2 + step.size // (PART // 8)
        while ahead:
            batch = _first(ahead)
            nodes = self._nodes({name for _, name, _ in batch})
            for length, name, depth in batch:
                ahead.pop()
                if nodes[name][:2] != BYTES:
                    ahead += reversed(_inner(nodes[name], length, depth))
                    break
                most -= 1
                if most < 0 or len(nodes[name]) - 2 != length:
                    raise BadNode(f"{shown(step.path)} is not cut as files are")
                yield nodes[name][2:]


def _file(step: Step) -> bytes:
    return str(step.number).encode()


def _first(ahead: list[tuple[int, bytes, int]]) -> list[tuple[int, bytes, int]]:
    """What is next of a stack, as much as may be held at once."""
    batch: list[tuple[int, bytes, int]] = []
    size = 0
    for part in reversed(ahead[-AT_ONCE:]):
        size += part[0]
        if batch and size > BYTES_AT_ONCE:
            break
        batch.append(part)
    return batch


def _inner(plain: bytes, length: int, depth: int) -> list[tuple[int, bytes, int]]:
    parts = node.file_parts(plain)
    if depth >= DEEPEST or not all(size for size, _ in parts) or sum(size for size, _ in parts) != length:
        raise BadNode(f"node {name_of(plain).hex()[:12]} is no file of {length:,} bytes")
    return [(size, name, depth + 1) for size, name in parts]


def _batches(puts: Iterable[Step]) -> Iterator[list[Step]]:
    batch: list[Step] = []
    size = 0
    for step in puts:
        batch.append(step)
        size += min(step.size, ONE)
        if len(batch) >= AT_ONCE or size >= BYTES_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _write_all(fd: int, block: bytes) -> None:
    rest = memoryview(block)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _set_mode(fd: int, before: int | None, runs: bool) -> None:
    """Permissions stay as they were for what stood there; the executable bit is the checkpoint's."""
    now = stat.S_IMODE(os.fstat(fd).st_mode)
    mode = now if before is None else before & 0o777
    mode = mode | (mode & 0o444) >> 2 | 0o100 if runs else mode & ~0o111
    if mode | 0o400 != now:
        os.fchmod(fd, mode | 0o400)


def together(do: Callable[[T], object], things: Iterable[T]) -> None:
    """Do what waits for the disk eight at a time: those that wait together share the disk's journal."""
    rest = list(things)
    if len(rest) < TOGETHER:
        for thing in rest:
            do(thing)
        return
    with ThreadPoolExecutor(TOGETHER, "sickbay-disk") as pool:
        parts = (rest[start::TOGETHER] for start in range(TOGETHER))
        list(pool.map(lambda part: [do(thing) for thing in part], parts))


def cleared(place: Place) -> None:
    """Nothing is staged any more."""
    there = place.own.stat(STAGE)
    if there is None:
        return
    is_ours = stat.S_ISDIR(there.st_mode)
    for name in os.listdir(place.own.directory(STAGE)) if is_ours else ():
        with contextlib.suppress(NotADirectoryError):
            stage = place.own.directory(STAGE + b"/" + os.fsencode(name))
            together(partial(removed_tree, directory=stage), map(os.fsencode, os.listdir(stage)))
    place.own.close()
    removed_tree(STAGE, place.own_fd)
