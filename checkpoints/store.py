"""Where nodes live: the one module that knows.

    checkpoints_node        every node, once a project; insert-only, its base by name
    checkpoints_checkpoint  the root of a memory, in the row of the first checkpoint that has it

Whoever adds holds the project's lock shared until its commit, whoever takes away holds it alone: a node that
was there when it was looked up is there at the commit, without a lock on its row. A checkpoint that goes
hands its root over to the node table, so that whatever needs the root does not need the checkpoint.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import zstandard
from django.db import connection

from agents.services.rows import Statement, several
from checkpoints.measuring import KINDS, Shape
from sickbay.tree import pack
from sickbay.tree.node import PLAIN_LIMIT, BadNode, name_of
from sickbay.tree.read import Damaged, Proven

LOCK = 0x5BC4
LEVEL, QUICK = 9, 3
FEW = 8
DEEPEST_CHAIN = 32

COLUMNS = "hash, base, depth, enc, kind, items, length, plain, height, crc"
AS_NODE = (
    "memory, root_base, root_depth, root_enc, root_kind, memory_items, memory_length, root_plain,"
    " root_height, 0"
)
NODES = f"SELECT {COLUMNS}, body FROM checkpoints_node"
ROOTS = f"SELECT {AS_NODE}, root_body FROM checkpoints_checkpoint"
THERE = """
SELECT hash FROM checkpoints_node WHERE project_id = %(project)s AND hash = ANY(%(names)s)
UNION ALL SELECT memory FROM checkpoints_checkpoint
WHERE project_id = %(project)s AND memory = ANY(%(names)s) AND root_body IS NOT NULL
"""
SHAPES = """
SELECT hash, kind, items, length, height, plain, depth, CASE WHEN depth > 0 THEN length(body) ELSE 0 END
FROM checkpoints_node WHERE project_id = %(project)s AND hash = ANY(%(names)s)
UNION ALL
SELECT memory, root_kind, memory_items, memory_length, root_height, root_plain, root_depth, root_chain
FROM checkpoints_checkpoint
WHERE project_id = %(project)s AND memory = ANY(%(names)s) AND root_body IS NOT NULL
"""
LEVEL_OF = f"""
{NODES} WHERE project_id = %(project)s AND hash = ANY(%(names)s)
UNION ALL
{ROOTS} WHERE project_id = %(project)s AND memory = ANY(%(names)s) AND root_body IS NOT NULL
"""
CHAIN = f"""
WITH RECURSIVE chain({COLUMNS}, body, steps) AS (
    SELECT found.*, 0 FROM ({LEVEL_OF}) found
  UNION ALL
    SELECT found.*, chain.steps + 1 FROM chain CROSS JOIN LATERAL (
        {NODES} n WHERE n.project_id = %(project)s AND n.hash = chain.base
        UNION ALL
        {ROOTS} k WHERE k.project_id = %(project)s AND k.memory = chain.base AND k.root_body IS NOT NULL
    ) found WHERE chain.steps < 40
)
SELECT {COLUMNS}, body FROM chain
"""
INSERT = """
INSERT INTO checkpoints_node
    (project_id, hash, base, depth, enc, kind, items, length, plain, height, crc, body)
SELECT %s, * FROM unnest(%s::bytea[], %s::bytea[], %s::int2[], %s::int2[], %s::int2[], %s::int4[], %s::int8[],
                         %s::int4[], %s::int2[], %s::int4[], %s::bytea[])
ON CONFLICT DO NOTHING
"""


class Stored(NamedTuple):
    """A node as it rests. `crc` is 0 where it stands in a checkpoint's row, which has one of its own."""

    name: bytes
    base: bytes | None
    depth: int
    enc: int
    kind: int
    items: int
    length: int
    plain: int
    height: int
    crc: int
    body: bytes

    @property
    def shape(self) -> Shape:
        chain = len(self.body) if self.depth else 0
        kind = KINDS[self.kind] if 0 <= self.kind < len(KINDS) else b"??"
        return Shape(kind, self.items, self.length, self.height, self.plain, self.depth, chain)


def hold(project_id: int) -> None:
    """What is there stays until the commit, and so does what is added."""
    several(holding(project_id))


def holding(project_id: int) -> Statement:
    return "SELECT pg_advisory_xact_lock_shared(%s, %s)", [LOCK, project_id]


def hold_alone(project_id: int) -> None:
    """Nobody adds until the commit."""
    several(("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK, project_id]))


def crc_of(node: Stored) -> int:
    """Covers every column, as a signed int4: one flipped bit is always found."""
    said = (node.base, node.depth, node.enc, node.kind, node.items, node.length, node.plain, node.height)
    value = zlib.crc32(node.body, zlib.crc32(node.name + repr(said).encode()))
    return value - (1 << 32) if value >= 1 << 31 else value


def missing(project_id: int, names: Collection[bytes]) -> list[bytes]:
    """Those of the names that this project has not; another project's are missing here."""
    there = {name for (name,) in _rows(THERE, project_id, names)}
    return [name for name in dict.fromkeys(names) if name not in there]


def shapes(project_id: int, names: Collection[bytes]) -> dict[bytes, Shape]:
    """What is known of these nodes without their bytes."""
    return shapes_in(_rows(SHAPES, project_id, names))


def asking_shapes(project_id: int, names: Collection[bytes]) -> Statement:
    return SHAPES, {"project": project_id, "names": list(names)}


def shapes_in(found: Iterable[Any]) -> dict[bytes, Shape]:
    shapes: dict[bytes, Shape] = {}
    for name, kind, *rest in map(_plainly, found):
        shapes.setdefault(name, Shape(KINDS[kind], *rest))
    return shapes


def asking_chain(project_id: int, names: Collection[bytes]) -> Statement:
    """Nodes with all that it takes to unpack them; for few, their bytes come whole."""
    return CHAIN, {"project": project_id, "names": list(names)}


def plains_in(names: Iterable[bytes], found: Iterable[Any]) -> dict[bytes, bytes]:
    """Their plain bytes, from what `asking_chain` brought, each proven by its name."""
    stored = _by_name(map(_plainly, found))
    plains: dict[bytes, bytes] = {}
    return {name: unpacked(name, stored, plains) for name in names if name in stored}


def fetch(project_id: int, names: Collection[bytes]) -> dict[bytes, bytes]:
    """The plain bytes of those that are there, each proven by its name; Damaged when one is not."""
    return Proven((name, plain) for name, _, plain in fetch_whole(project_id, names))


def packed(plain: bytes, base: bytes | None = None) -> bytes:
    """zstd, harder than what travels: a third of a millisecond once, for bytes that stay."""
    if not base:
        return zstandard.ZstdCompressor(level=LEVEL).compress(plain)
    sizes = {"source_size": len(plain), "dict_size": len(base)}  # told, it prepares for these, not for any
    how = zstandard.ZstdCompressionParameters.from_level(LEVEL, **sizes)
    known = zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    return zstandard.ZstdCompressor(compression_params=how, dict_data=known).compress(plain)


def about(plain: bytes) -> int:
    """How many bytes a full copy takes, a few in a hundred too many: a quarter of the time of packing it."""
    return len(zstandard.ZstdCompressor(level=QUICK).compress(plain))


def rested(plain: bytes) -> tuple[int, bytes]:
    """The encoding by itself, and the bytes."""
    body = packed(plain)
    return (pack.ZSTD, body) if len(body) < len(plain) else (pack.PLAIN, plain)


def fetch_whole(project_id: int, names: Collection[bytes]) -> list[tuple[bytes, Stored, bytes]]:
    """Name, row and plain bytes of those that are there."""
    if len(names) <= FEW:
        rows = _stored(CHAIN, project_id, names)
        plains: dict[bytes, bytes] = {}
        return [
            (name, rows[name], unpacked(name, rows, plains)) for name in dict.fromkeys(names) if name in rows
        ]
    level = _stored(LEVEL_OF, project_id, names)
    rows = dict(level)
    wanted = {node.base for node in rows.values() if node.base} - rows.keys()
    rows |= _stored(CHAIN, project_id, wanted)
    if any(node.base and node.base not in rows for node in rows.values()):
        # A row moved between the two queries; one query sees it either before or after.
        rows |= _stored(CHAIN, project_id, names)
    plains = {}
    return [(name, node, unpacked(name, rows, plains)) for name, node in level.items()]


def unpacked(name: bytes, rows: Mapping[bytes, Stored], plains: dict[bytes, bytes]) -> bytes:
    """The plain bytes, made from the chain of bases; `plains` keeps what was made on the way."""
    chain: list[Stored] = []
    at: bytes | None = name
    while at is not None and at not in plains:
        node = rows.get(at)
        if node is None or len(chain) > DEEPEST_CHAIN + 1:
            raise Damaged(f"node {name.hex()[:12]} cannot be unpacked: its base {at.hex()[:12]} is missing")
        chain.append(node)
        at = node.base
    for node in reversed(chain):
        base = plains[node.base] if node.base is not None else None
        plains[node.name] = _plain(node, base)
    return plains[name]


def _plain(node: Stored, base: bytes | None) -> bytes:
    try:
        plain = pack.unpack(node.enc, node.body, node.plain, base, PLAIN_LIMIT)
    except BadNode as error:
        raise Damaged(f"node {node.name.hex()[:12]} is damaged: {error}") from None
    if name_of(plain) != node.name:
        raise Damaged(f"node {node.name.hex()[:12]} is damaged: its bytes have another name")
    return plain


def add(project_id: int, nodes: Iterable[Stored]) -> int:
    """Keep these; how many are new. In the order of names, so that two uploads cannot block each other."""
    rows = sorted((node._replace(crc=crc_of(node)) for node in nodes), key=lambda node: node.name)
    if not rows:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [project_id, *map(list, zip(*rows, strict=True))])
        new: int = cursor.rowcount
    return new


def names_of(project_id: int) -> dict[bytes, bool]:
    """All nodes of the table, and whether anything may hang below one: children, or a base."""
    leaves = [KINDS.index(kind) for kind in (b"T[", b"T{", b"B ")]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT hash, base IS NOT NULL OR kind <> ALL(%s) FROM checkpoints_node WHERE project_id = %s",
            [leaves, project_id],
        )
        return dict(cursor.fetchall())


def rows_of(project_id: int, after: bytes = b"", limit: int = 500) -> list[Stored]:
    """The node table in the order of names, a page at a time."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"{NODES} WHERE project_id = %s AND hash > %s ORDER BY hash LIMIT %s", [project_id, after, limit]
        )
        return [Stored(*row) for row in cursor.fetchall()]


def chain_of(project_id: int, names: Collection[bytes]) -> dict[bytes, Stored]:
    """These nodes and all their bases."""
    return _stored(CHAIN, project_id, names)


def roots_of(project_id: int, checkpoints: Collection[Any]) -> list[Stored]:
    """The roots in the rows of these checkpoints, in the order they were taken."""
    query = f"{ROOTS} WHERE project_id = %(project)s AND id = ANY(%(names)s) AND root_body IS NOT NULL"
    return [Stored(*row) for row in _rows(f"{query} ORDER BY at, id", project_id, checkpoints)]


def take_over(project_id: int, checkpoints: Collection[Any]) -> None:
    """The roots in the rows of these checkpoints become nodes of the table, as they are."""
    add(project_id, {node.name: node for node in roots_of(project_id, checkpoints)}.values())


def sweep(project_id: int, names: Collection[bytes]) -> tuple[int, int]:
    """Take these away; how many there were, and their bytes. The caller holds the project alone."""
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH gone AS (DELETE FROM checkpoints_node WHERE project_id = %s AND hash = ANY(%s)"
            " RETURNING length(body) AS size) SELECT count(*), coalesce(sum(size), 0) FROM gone",
            [project_id, list(names)],
        )
        count, size = cursor.fetchone()
        return count, int(size)


def _stored(query: str, project_id: int, names: Collection[Any]) -> dict[bytes, Stored]:
    return _by_name(_rows(query, project_id, names))


def _by_name(rows: Iterable[Any]) -> dict[bytes, Stored]:
    found: dict[bytes, Stored] = {}
    for row in rows:
        found.setdefault(row[0], Stored(*row))
    return found


def _rows(query: str, project_id: int, names: Collection[Any]) -> Iterator[Any]:
    if not names:
        return
    with connection.cursor() as cursor:
        cursor.execute(query, {"project": project_id, "names": list(names)})
        yield from map(_plainly, cursor.fetchall())


def _plainly(row: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(bytes(value) if isinstance(value, memoryview) else value for value in row)
