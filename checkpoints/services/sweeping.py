"""Taking away nodes that nothing needs, while uploads go on.

    names there now ─▶ roots: checkpoints, leases ─▶ walked down, bases are edges ─▶ what was not reached
    then, in small batches, each alone in the project: what came since is walked, too; the rest goes

A node that comes after the names were read is no candidate. A candidate that an upload needs again is reached
by the walk from that upload's checkpoint or lease, because it commits before the batch begins, or finds the
node missing and sends it. One sweeper a project at a time; a kill between two batches leaves a smaller job.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from django.db import connection, transaction

from agents.failpoint import failpoint
from checkpoints import store
from checkpoints.models import Checkpoint, Lease
from sickbay.tree.read import Damaged, links

BATCH = 1_000
LEVEL = 500
SWEEPER = 0x5BC5
HASH = 32
LONGEST_UPLOAD = dt.timedelta(hours=1)


@dataclass(frozen=True)
class Freed:
    nodes: int = 0
    bytes: int = 0
    sentence: str = ""


@dataclass
class _Marked:
    """The names that are reached, of those that were there; and the checkpoints that were walked."""

    branching: dict[bytes, bool]
    reached: set[bytes]
    walked: set[uuid.UUID]


def sweep(project_id: int, now: dt.datetime) -> Freed:
    """Free what nothing reaches. A tree that cannot be walked frees nothing: damage is looked into first."""
    Lease.objects.filter(project_id=project_id, until__lt=now).delete()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [SWEEPER, project_id])
        if not cursor.fetchone()[0]:
            return Freed(sentence="another sweep is under way")
    try:
        return _swept(project_id, now)
    except Damaged as damaged:
        return Freed(
            sentence=f"nothing was freed, because a node is damaged ({damaged}): run manage.py verify"
        )
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [SWEEPER, project_id])


def _swept(project_id: int, now: dt.datetime) -> Freed:
    marked = _Marked(store.names_of(project_id), set(), set())
    failpoint("sweeping:named")
    _mark(project_id, marked, _roots(project_id, marked, since=None))
    garbage = iter([name for name in marked.branching if name not in marked.reached])
    nodes = size = 0
    while batch := list(islice(garbage, BATCH)):
        with transaction.atomic():
            store.hold_alone(project_id)
            _mark(project_id, marked, _roots(project_id, marked, since=now - LONGEST_UPLOAD))
            count, freed = store.sweep(project_id, [name for name in batch if name not in marked.reached])
            failpoint("sweeping:batch")
        nodes, size = nodes + count, size + freed
    return Freed(nodes, size)


def _roots(project_id: int, marked: _Marked, since: dt.datetime | None) -> Iterator[bytes]:
    """What checkpoints need that were not walked yet, and what uploads under way have sent."""
    rows = Checkpoint.objects.filter(project_id=project_id)
    if since is not None:
        rows = rows.filter(received_at__gt=since)
    for id, *names in rows.values_list("pk", "memory", "workspace", "root_base").iterator(chunk_size=5_000):
        if id not in marked.walked:
            marked.walked.add(id)
            yield from (bytes(name) for name in names if name is not None)
    for leased in Lease.objects.filter(project_id=project_id).values_list("names", flat=True):
        yield from (bytes(leased[at : at + HASH]) for at in range(0, len(leased), HASH))


def _mark(project_id: int, marked: _Marked, roots: Iterable[bytes]) -> None:
    """Down from the roots, a level at a time. Leaves without a base are just named."""
    wanted = {name for name in roots if name not in marked.reached}
    while wanted:
        marked.reached |= wanted
        ahead: set[bytes] = set()
        open = iter([name for name in wanted if marked.branching.get(name, True)])
        while part := list(islice(open, LEVEL)):
            ahead |= _below(project_id, part)
        wanted = ahead - marked.reached


def _below(project_id: int, names: Collection[bytes]) -> set[bytes]:
    found: set[bytes] = set()
    for _, node, plain in store.fetch_whole(project_id, names):
        if node.base is not None:
            found.add(node.base)
        found.update(link.name for link in links(plain))
    return found
