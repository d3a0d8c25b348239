"""Outcomes by the minute, and the bars of the last hour, made once when a minute closes."""

from __future__ import annotations

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Mapping

from django.db import connection, transaction

from agents.announce import announce
from agents.models import Agent, Minute

SHOWN = 60
MINUTE = dt.timedelta(minutes=1)
ADD = """
INSERT INTO agents_minute (agent_id, at, ok, failed)
SELECT %s, * FROM unnest(%s::timestamptz[], %s::int[], %s::int[])
ON CONFLICT (agent_id, at) DO UPDATE
SET ok = agents_minute.ok + EXCLUDED.ok, failed = agents_minute.failed + EXCLUDED.failed
"""
DRAW = """
UPDATE agents_agent a SET bars = b.bars, bars_until = %s, version = version + 1
FROM unnest(%s::bigint[], %s::text[]) AS b(id, bars) WHERE a.id = b.id AND a.bars <> b.bars
RETURNING a.id, a.project_id, a.version
"""
TURN = "UPDATE agents_project SET version = version + 1 WHERE id = ANY(%s) RETURNING id, version"


def add(agent_id: int, outcomes: Mapping[dt.datetime, tuple[int, int]]) -> None:
    """Add (ok, failed) to the agent's minutes, in order of time, so that batches cannot block each other."""
    if not outcomes:
        return
    rows = sorted(outcomes.items())
    with connection.cursor() as cursor:
        values = [at for at, _ in rows], [ok for _, (ok, _) in rows], [failed for _, (_, failed) in rows]
        cursor.execute(ADD, [agent_id, *values])


@transaction.atomic
def close(now: dt.datetime) -> int:
    """Draw the bars of the hour that ends with the last closed minute; how many agents look different."""
    until = now.replace(second=0, microsecond=0)
    if not Agent.objects.filter(bars_until__isnull=True).exists() and (
        Agent.objects.filter(bars_until__gte=until).exists()
    ):
        return 0
    everyone = Agent.objects.order_by("pk")  # Locked in order: a decision locks several agents, too.
    list(everyone.select_for_update(no_key=True).values_list("pk", flat=True))
    bars = _bars(until)
    shown = Agent.objects.exclude(bars="").values_list("pk", flat=True)
    ids = sorted({*bars, *shown})
    with connection.cursor() as cursor:
        cursor.execute(DRAW, [until, ids, [bars.get(id, "") for id in ids]])
        changed = cursor.fetchall()
        cursor.execute(TURN, [sorted({project for _, project, _ in changed})])
        turned = cursor.fetchall()
    Agent.objects.exclude(bars_until=until).update(bars_until=until)
    for id, _, version in changed:
        announce(f"agent-{id}", version)
    for id, version in turned:
        announce(f"fleet-{id}", version, spread_ms=5_000)
    return len(changed)


def _bars(until: dt.datetime) -> dict[int, str]:
    """`[[ok, failed], …]`, oldest first, for each agent that did anything in the hour before `until`."""
    first = until - SHOWN * MINUTE
    hours: dict[int, list[list[int]]] = defaultdict(lambda: [[0, 0] for _ in range(SHOWN)])
    rows = Minute.objects.filter(at__gte=first, at__lt=until).values_list("agent_id", "at", "ok", "failed")
    for agent_id, at, ok, failed in rows:
        hours[agent_id][int((at - first) / MINUTE)] = [ok, failed]
    return {id: json.dumps(hour, separators=(",", ":")) for id, hour in hours.items()}
