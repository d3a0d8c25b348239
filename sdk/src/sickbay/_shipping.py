"""Checkpoints on their way to the server, and back: on the sender's thread there, on the asker's back.

    small      one request: header and records
    large      which nodes are missing? → those, a few MB at a time → the header
    409        the server lacks a child or a base: it is sent by itself, then all again
    never      what nobody has any more is set aside with a signal, and the next checkpoint holds everything

All of it may be repeated: the id is the checkpoint's own, and nodes are named by what they hold.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from sickbay import _answers
from sickbay._failpoints import failpoint
from sickbay._guard import log
from sickbay._lines import dumps
from sickbay.tree import record
from sickbay.tree.node import PLAIN_LIMIT, BadNode, name_of
from sickbay.tree.pack import PLAIN, ZSTD, unpack
from sickbay.tree.record import Record

if TYPE_CHECKING:
    from sickbay._keeper import Keeper
    from sickbay._wire import Wire

SMALL = 1024**2
REQUEST = 4 * 1024**2  # bytes of records in one request; the server takes 8 MB
NAMES, READ = 10_000, 2_000
ROUNDS = 20  # times that one checkpoint may lack something
REFUSED = (400, 404, 409, 413, 422)


class Shipping:
    """What one link sends and fetches of checkpoints. `query` says who asks."""

    def __init__(self, wire: Wire, keeper: Keeper, query: Callable[[], dict[str, Any]]) -> None:
        self._wire, self._keeper, self._query = wire, keeper, query
        self._packs = keeper.packs
        self._nodes = keeper.nodes

    # — there —

    def ship(self) -> bool:
        """Send the oldest that waits; whether more do. Raises what the wire raises."""
        waiting = self._packs.waiting()
        if not waiting:
            self._keeper.safe()
            return False
        number = waiting[0]
        try:
            header = self._packs.header(number)
        except (BadNode, OSError) as error:
            self._set_aside(number, str(error))
            return len(waiting) > 1
        answer = self._shipped(number, header)
        if answer is not None:
            failpoint("upload:answered")
            self._packs.let_go(number)
            self._keeper.shelf.told(str(uuid.UUID(answer.id)), answer.standing)
        return len(waiting) > 1

    def _shipped(self, number: int, header: dict[str, Any]) -> _answers.Kept | None:
        from sickbay._wire import Refused

        agent, _ = self._who()
        whole = False
        for _ in range(ROUNDS):
            try:
                rest = self._ahead(number, header["id"], whole)
                failpoint("upload:staged")
                said = {**header, "sent_at": self._keeper.home.clock.wall()}
                body = b"".join((dumps(said), b"\n", *rest))
                query = self._who()[1]
                return self._wire.checkpoints(agent, "checkpoints/", query, body, _answers.Kept)
            except Refused as refused:
                if refused.status not in REFUSED or refused.error in ("fenced", "not_found"):
                    raise
                why = str(refused)
                if refused.error != "missing_nodes":
                    break
                if not self._supplied(header["id"], refused.missing):
                    if whole:
                        break
                    whole = True  # a base is gone: what was encoded against it goes by itself
            except LookupError as lost:
                why = str(lost)
                break
        self._set_aside(number, why)
        return None

    def _ahead(self, number: int, upload: str, whole: bool) -> list[bytes]:
        """What of a large pack is missing goes ahead; of a small one, all goes with the header."""
        bodies: list[bytes] = []
        size = 0
        for one in self._records(number, whole):
            bodies.append(record.write(one))
            size += len(bodies[-1])
            if size > SMALL:
                break
        else:
            return bodies
        names = [one.name for one in self._packs.records(number)]
        missing = self._missing(names)
        wanted = (record.write(one) for one in self._records(number, whole) if one.name in missing)
        self._staged(upload, wanted)
        return []

    def _records(self, number: int, whole: bool) -> Iterator[Record]:
        """The records of a pack; `whole`: each encoded by itself, or LookupError."""
        for one in self._packs.records(number):
            found = self._nodes.whole(one.name) if whole and one.base else one
            if found is None:
                raise LookupError(f"node {one.name.hex()[:12]} needs one that nobody has any more")
            yield found

    def _missing(self, names: list[bytes]) -> set[bytes]:
        agent, query = self._who()
        found: set[bytes] = set()
        for start in range(0, len(names), NAMES):
            body = b"".join(names[start : start + NAMES])
            answer = self._wire.checkpoints(agent, "checkpoints/missing/", query, body, _answers.Missing)
            found.update(map(bytes.fromhex, answer.missing))
        return found

    def _staged(self, upload: str, bodies: Iterable[bytes]) -> None:
        agent, query = self._who()
        query = {**query, "upload": upload}
        for body in _requests(bodies):
            self._wire.checkpoints(agent, "checkpoints/nodes/", query, body, _answers.Staged)
            failpoint("upload:part")

    def _supplied(self, upload: str, missing: list[str]) -> bool:
        """Send what the server lacks by itself; False when nobody has it any more."""
        found = [self._nodes.whole(bytes.fromhex(name)) for name in missing]
        self._staged(upload, [record.write(node) for node in found if node is not None])
        return bool(found) and None not in found

    def _set_aside(self, number: int, why: str) -> None:
        log.error("sickbay: checkpoint %08d cannot be sent and is set aside: %s", number, why)
        self._packs.let_go(number, aside=True)
        self._keeper.set_aside(why)

    # — back —

    def newest(self, standing: str | None = None) -> _answers.Told | None:
        """The newest that a run may go on from, or the newest good one; None when there is none."""
        return self._told("checkpoints/newest/", {"standing": standing} if standing else {})

    def one(self, id: str) -> _answers.Told | None:
        return self._told(f"checkpoints/{uuid.UUID(id)}/", {})

    def _told(self, path: str, more: dict[str, str]) -> _answers.Told | None:
        from sickbay._wire import Refused

        agent, query = self._who()
        try:
            return self._wire.checkpoints(agent, path, {**query, **more}, None, _answers.Told)
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    def fetch(self, names: list[bytes]) -> dict[bytes, bytes]:
        """Nodes from the server, each proven by its name; what it has not is left out."""
        agent, query = self._who()
        found: dict[bytes, bytes] = {}
        left = list(names)
        while left:
            asked = left[:READ]
            body, count = self._wire.nodes(agent, query, b"".join(asked))
            for one in record.read(body):
                if one.encoding not in (PLAIN, ZSTD):
                    raise BadNode("the server sent a node that needs another")
                plain = unpack(one.encoding, one.payload, one.plain_length, None, PLAIN_LIMIT)
                if name_of(plain) != one.name:
                    raise BadNode(f"the server's node {one.name.hex()[:12]} is damaged")
                found[one.name] = plain
            left = left[max(1, min(count, len(asked))) :]
        return found

    def progress(self, rollback: str, body: dict[str, Any]) -> _answers.Progress:
        agent, query = self._who()
        path = f"rollbacks/{uuid.UUID(rollback)}/progress/"
        return self._wire.checkpoints(agent, path, query, dumps(body), _answers.Progress)

    def edits(self, paths: list[str], more: int) -> None:
        """What was changed by hand since the last snapshot."""
        agent, query = self._who()
        body = dumps({"paths": paths, "more": more})
        self._wire.checkpoints(agent, "edits/", query, body, _answers.Edited)

    def _who(self) -> tuple[str, dict[str, Any]]:
        query = self._query()
        return query.pop("agent"), query


def _requests(bodies: Iterable[bytes]) -> Iterator[bytes]:
    """Bodies together, as many as one request takes."""
    pieces: list[bytes] = []
    size = 0
    for body in bodies:
        if pieces and size + len(body) > REQUEST:
            yield b"".join(pieces)
            pieces, size = [], 0
        pieces.append(body)
        size += len(body)
    if pieces:
        yield b"".join(pieces)
