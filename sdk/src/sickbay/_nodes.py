"""Where the nodes of a checkpoint can be found: in what is at hand, in packs that wait, at the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from sickbay.tree.node import PLAIN_LIMIT, BadNode
from sickbay.tree.pack import AGAINST, pack, unpack
from sickbay.tree.record import Record

if TYPE_CHECKING:
    from sickbay._keeper import Keeper

Remote = Callable[[list[bytes]], Mapping[bytes, bytes]]


class Nodes:
    """The nodes that one keeper, its packs and its server have."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._where: dict[bytes, int] = {}  # in which pack a node lies
        self._seen: set[int] = set()
        self._open: tuple[int, dict[bytes, Record]] = (0, {})

    def fetch(self, remote: Remote | None) -> Callable[[list[bytes]], dict[bytes, bytes]]:
        """What a restore is given: each call answers from here first, and then from there.

        A node that still waits here may be told against one that the server has had long ago.
        """

        def fetch(names: list[bytes]) -> dict[bytes, bytes]:
            found = {name: plain for name in names if (plain := self.plain(name, remote)) is not None}
            away = [name for name in names if name not in found]
            return {**found, **remote(away)} if away and remote is not None else found

        return fetch

    def plain(self, name: bytes, remote: Remote | None = None) -> bytes | None:
        """The bytes of a node that is on this machine, or told here against one that is there."""
        found = self._keeper.node(name)
        if found is not None:
            return found[0]
        one = self._packed(name)
        return self._unpacked(one, remote) if one is not None else None

    def whole(self, name: bytes) -> Record | None:
        """A node that is on this machine, encoded by itself."""
        found = self._keeper.node(name)
        if found is not None:
            plain, items, length = found
        else:
            one = self._packed(name)
            unpacked = self._unpacked(one) if one is not None else None
            if one is None or unpacked is None:
                return None
            plain, items, length = unpacked, one.items, one.length
        encoding, payload = pack(plain)
        return Record(name, encoding, b"", len(plain), items, length, payload)

    def _packed(self, name: bytes) -> Record | None:
        """The record of a node in a pack that waits; packs are looked through once."""
        waiting = self._keeper.packs.waiting()
        for number in waiting:
            if number not in self._seen:
                self._seen.add(number)
                self._where.update(dict.fromkeys(self._records(number), number))
        number = self._where.get(name, 0)
        if number not in waiting:
            return None
        if self._open[0] != number:
            self._open = (number, self._records(number))
        return self._open[1].get(name)

    def _records(self, number: int) -> dict[bytes, Record]:
        try:
            return {one.name: one for one in self._keeper.packs.records(number)}
        except (BadNode, OSError):
            return {}

    def _unpacked(self, one: Record, remote: Remote | None = None) -> bytes | None:
        base = None
        if one.encoding >= AGAINST:
            base = self.plain(one.base, remote)
            if base is None and remote is not None:
                base = remote([one.base]).get(one.base)
            if base is None:
                return None
        try:
            return unpack(one.encoding, one.payload, one.plain_length, base, PLAIN_LIMIT)
        except BadNode:
            return None
