"""Records on their way in: judged by what they declare, unpacked, proven, and checked against their children.

    declared sizes → unpacked → the name is right → spelled exactly → every child there, and as it is said
                                                                     → encoded as it shall rest

Only what arrived is looked at. What is there already is left alone, whatever bytes were sent for it. A name
that is in another project is missing here: a hash alone grants nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from agents.services.rows import Statement, several
from checkpoints import store
from checkpoints.measuring import KINDS, Read, Shape, TooMuch, read, weighed
from checkpoints.whole import CONTAINERS, Wholes, parts_of
from sickbay.tree import pack, record
from sickbay.tree.node import PLAIN_LIMIT, BadNode, name_of
from sickbay.tree.record import Record

MOST_RECORDS = 50_000
MOST_PLAIN = 128 * 1024 * 1024
MOST_JUDGED = 8 * 1024 * 1024
WORTH = 2


class Missing(Exception):
    """Nodes that a record needs are not in this project."""

    def __init__(self, names: Sequence[bytes]) -> None:
        super().__init__(f"{len(names)} nodes are missing")
        self.names = list(dict.fromkeys(names))


class Admitted(NamedTuple):
    """What may be stored: nodes, and apart from them the root of the memory, if it is new.

    `chain`: bytes of deltas under the root since the last full copy, its own included. `known`: what is there
    now, of all that was spoken of. `containers` came, each with the bytes of its base.
    """

    nodes: list[store.Stored]
    root: store.Stored | None
    chain: int
    known: dict[bytes, Shape]
    containers: list[tuple[bytes, bytes | None]]


class _Arrived(NamedTuple):
    record: Record
    read: Read
    plain: int
    enc: int
    base: bytes | None
    body: bytes
    depth: int
    chain: int
    container: tuple[bytes, bytes | None] | None


def records_in(data: bytes) -> list[Record]:
    """The records of a body; BadNode when they are none, or declare too much."""
    found: dict[bytes, Record] = {}
    count = plain = 0
    for one in record.read(data):
        count, plain = count + 1, plain + one.plain_length
        if count > MOST_RECORDS or plain > MOST_PLAIN:
            raise TooMuch(f"at most {MOST_RECORDS:,} records and {MOST_PLAIN:,} bytes, unpacked, at once")
        if one.plain_length > PLAIN_LIMIT:
            raise TooMuch(f"a node of {one.plain_length:,} bytes; at most {PLAIN_LIMIT:,} are kept")
        found.setdefault(one.name, one)
    return list(found.values())


def admit(
    project_id: int, records: list[Record], *, memory: bytes | None = None, workspace: bytes | None = None
) -> Admitted:
    """Checks all, stores nothing. The caller holds the project, so that what is there stays."""
    looked = Looked.of(records, *several(*asking(project_id, records, memory, workspace)))
    return admit_looked(project_id, records, looked, memory=memory)


def asking(
    project_id: int, records: list[Record], memory: bytes | None, workspace: bytes | None
) -> tuple[Statement, Statement]:
    """What is looked up first, for whoever has more to ask: all that is spoken of, and bases if few."""
    spoken = {*(one.name for one in records), *(one.base for one in records), memory, workspace}
    names = [name for name in spoken if name]
    return store.asking_shapes(project_id, names), store.asking_chain(project_id, _few_bases(records))


def _few_bases(records: list[Record]) -> set[bytes]:
    """Few enough that none of them can be too large together; those of many are measured before they come."""
    bases = {one.base for one in records if one.base}
    return bases if len(bases) * PLAIN_LIMIT <= MOST_PLAIN else set()


class Looked(NamedTuple):
    """The answers to `asking`."""

    there: dict[bytes, Shape]
    bases: dict[bytes, bytes]

    @classmethod
    def of(cls, records: list[Record], shapes: list[Any], chain: list[Any]) -> Looked:
        there = store.shapes_in(shapes)
        needed = {one.base for one in records if one.name not in there}
        return cls(there, store.plains_in(_few_bases(records) & needed, chain))


def admit_looked(
    project_id: int, records: list[Record], looked: Looked, *, memory: bytes | None = None
) -> Admitted:
    there = looked.there
    arrived = _unpacked(project_id, [one for one in records if one.name not in there], looked, memory)
    links = {link.name for one in arrived for link in one.read.links}
    known = there | store.shapes(project_id, links - there.keys() - {one.record.name for one in arrived})
    return _weighed(arrived, known, memory)


def judge(project_id: int, admitted: Admitted) -> None:
    """BadNode when parts that are right by themselves are not so together; after they were added.

    What would need more than 8 MiB of text is left to `verify` and to whoever restores it.
    """
    wholes = Wholes(lambda names: store.fetch(project_id, names), MOST_JUDGED)
    for plain, base in admitted.containers:
        wholes.judge(parts_of(plain), parts_of(base))


def _unpacked(project_id: int, records: list[Record], looked: Looked, memory: bytes | None) -> list[_Arrived]:
    """Each by itself, in the order sent: a base comes before what needs it, or is there."""
    plains = _bases(project_id, records, looked)
    needed = {one.base for one in records}
    known, arrived = dict(looked.there), []
    for one in records:
        base = plains.get(one.base) if one.base else None
        plain = _proven(one, base)
        item = _rests(one, plain, base, known.get(one.base), is_root=one.name == memory)
        known[one.name] = Shape(item.read.kind, 0, 0, 0, item.plain, item.depth, item.chain)
        if one.name in needed:
            plains[one.name] = plain
        arrived.append(item)
    return arrived


def _bases(project_id: int, records: list[Record], looked: Looked) -> dict[bytes, bytes]:
    """The stored bases, unpacked."""
    there = looked.there
    earlier: set[bytes] = set()
    stored: set[bytes] = set()
    absent = []
    for one in records:
        if one.base and one.base in there:
            stored.add(one.base)
        elif one.base and one.base not in earlier:
            absent.append(one.base)
        earlier.add(one.name)
    if absent:
        raise Missing(absent)
    if sum(there[name].plain for name in stored) > MOST_PLAIN:
        raise TooMuch(f"the bases have more than {MOST_PLAIN:,} bytes: send fewer records at once")
    return {**looked.bases, **store.fetch(project_id, stored - looked.bases.keys())}


def _proven(one: Record, base: bytes | None) -> bytes:
    try:
        plain = pack.unpack(one.encoding, one.payload, one.plain_length, base, PLAIN_LIMIT)
    except BadNode as error:
        raise BadNode(f"node {one.name.hex()[:12]}: {error}") from None
    if name_of(plain) != one.name:
        raise BadNode(f"node {one.name.hex()[:12]} has other bytes than its name says")
    return plain


def _rests(one: Record, plain: bytes, base: bytes | None, on: Shape | None, *, is_root: bool) -> _Arrived:
    """How it is kept: a delta only against its own kind, and while the chain is worth it.

    A leaf that was sealed travels as a delta against the root that held its text, and rests by itself. Full
    copies come when the chain is as long as may be, or twice as large as a full copy: then a root is often
    small, too. What stays for long is packed harder than what only travels.
    """
    found = read(plain)
    container = (plain, base) if found.kind in CONTAINERS else None
    if on is not None and base is not None:
        enc, body = (one.encoding, one.payload)
        if enc == pack.AGAINST:
            body = store.packed(plain, base)
        depth, chain = on.depth + 1, on.chain + len(body)
        alike = is_root or found.kind[:1] == on.kind[:1]
        is_chain = alike and depth <= store.DEEPEST_CHAIN
        if is_chain and (on.kind[:1] != b"C" or chain < WORTH * store.about(plain)):
            return _Arrived(one, found, len(plain), enc, one.base, body, depth, chain, container)
    enc, body = store.rested(plain)
    return _Arrived(one, found, len(plain), enc, None, body, 0, 0, container)


def _weighed(arrived: list[_Arrived], known: dict[bytes, Shape], memory: bytes | None) -> Admitted:
    """Children before parents: each is compared with those below it."""
    absent = _absent(arrived, known)
    if absent:
        raise Missing(absent)
    nodes, root, chain = [], None, 0
    for one in arrived:
        name = one.record.name
        shape = weighed(one.read, known)
        said = (one.record.items, one.record.length)
        if shape.kind != b"D " and said != (shape.items, shape.length):
            raise BadNode(f"node {name.hex()[:12]} is sent as {said}, and is {(shape.items, shape.length)}")
        known[name] = shape
        kept = store.Stored(
            name, one.base, one.depth, one.enc, KINDS.index(shape.kind), shape.items, shape.length,
            one.plain, shape.height, 0, one.body,
        )  # fmt: skip
        if name == memory:
            root, chain = kept, one.chain
        else:
            nodes.append(kept)
    containers = [one.container for one in arrived if one.container is not None]
    return Admitted(nodes, root, chain, known, containers)


def _absent(arrived: list[_Arrived], known: dict[bytes, Shape]) -> list[bytes]:
    """Children that are neither there nor sent before their parents."""
    sent: set[bytes] = set()
    absent: list[bytes] = []
    for one in arrived:
        absent += [link.name for link in one.read.links if link.name not in known and link.name not in sent]
        sent.add(one.record.name)
    return absent
