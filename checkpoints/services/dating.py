"""When a checkpoint was taken, by our clock: in its place among the entries of its run.

It travels in a request of its own, whose delay is another than that of the events around it. A checkpoint
that sorts behind the failure that followed it would count as taken after it, and the last known good one
would be one too early; behind an effect that followed it, and the worklist would lack that. So its time is
corrected as its run's events are, and it stands between the events that it was taken between.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from agents.models import Instance
from agents.services import snapshots
from agents.services.ingest import SAME_CLOCK_S
from agents.services.rows import Statement

MICROSECOND = dt.timedelta(microseconds=1)
NEVER = 2**62
ASK = """
SELECT r.offset_s, r.acked,
    (SELECT e.at FROM agents_entry e WHERE e.run_id = r.id AND e.seq <= %s ORDER BY e.seq DESC LIMIT 1),
    (SELECT e.at FROM agents_entry e WHERE e.run_id = r.id AND e.seq > %s ORDER BY e.seq LIMIT 1)
FROM agents_run r WHERE r.id = %s AND r.instance_id = %s
"""


def asking(instance: Instance, run: str, seq: int | None) -> Statement:
    """The offset of the run's events, and those around: the last up to number `seq`, the first after it."""
    around = [0, NEVER] if seq is None else [seq, seq]
    return ASK, [*around, uuid.UUID(run), instance.pk]


def dated(at: float, sent_at: float, found: list[tuple[Any, ...]], now: dt.datetime) -> dt.datetime:
    """The time, given what was found."""
    offset = now.timestamp() - sent_at
    known, acked, earlier, following = found[0] if found else (0.0, 0, None, None)
    if acked and abs(known - offset) < SAME_CLOCK_S:
        offset = known
    taken = snapshots.corrected(at, offset, now)
    if earlier is not None:
        taken = max(taken, earlier + MICROSECOND)
    return taken if following is None else min(taken, following - MICROSECOND)
