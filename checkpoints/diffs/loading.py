"""Comparing many places of two trees with few questions: who needs nodes waits, all are asked for at once.

A comparison is a generator that yields the names it needs and is sent their bytes. One round fetches for
everyone who waits, so the number of queries is the depth of what differs, not the number of places.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Mapping

from sickbay.tree.read import Fetch as Fetch
from sickbay.tree.read import checked

Nodes = Mapping[bytes, bytes]
Comparing = Generator[list[bytes], Nodes, None]


PLACES, HANDED = 100_000, 512 * 1024 * 1024  # comparisons, and bytes of nodes that they are given, at most


class TooMuch(Exception):
    """The two differ in more than is loaded for one look."""


class Rounds:
    """Runs comparisons until none is left; `most` limits the bytes that are loaded.

    A node that stands in many places is loaded once and compared in each, so that is limited, too.
    """

    def __init__(self, fetch: Fetch, most: int) -> None:
        self._fetch, self._left = fetch, most
        self._new: deque[Comparing] = deque()
        self._nodes: dict[bytes, bytes] = {}
        self._places, self._handed = PLACES, HANDED
        self.loaded = 0

    def add(self, comparing: Comparing) -> None:
        self._places -= 1
        if self._places < 0:
            raise TooMuch
        self._new.append(comparing)

    def run(self) -> None:
        waiting: list[tuple[Comparing, list[bytes]]] = []
        while self._new or waiting:
            while self._new:
                self._step(self._new.popleft(), None, waiting)
            self._load({name for _, names in waiting for name in names})
            now, waiting = waiting, []
            for comparing, names in now:
                self._step(comparing, {name: self._nodes[name] for name in names}, waiting)

    def _step(
        self, comparing: Comparing, nodes: Nodes | None, waiting: list[tuple[Comparing, list[bytes]]]
    ) -> None:
        if nodes is not None:
            self._handed -= sum(map(len, nodes.values()))
            if self._handed < 0:
                raise TooMuch
        try:
            names = comparing.send(nodes) if nodes is not None else next(comparing)
        except StopIteration:
            return
        waiting.append((comparing, names))

    def _load(self, names: set[bytes]) -> None:
        missing = sorted(names - self._nodes.keys())
        if not missing:
            return
        found = checked(missing, self._fetch)
        self._nodes.update(found)
        self.loaded += len(found)
        self._left -= sum(map(len, found.values()))
        if self._left < 0:
            raise TooMuch
