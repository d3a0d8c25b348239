"""How much happened when: the bars over a timeline, from the minutes, and the runs of an agent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Max

from agents.models import Minute, Run

RUNS = 50


@dataclass(frozen=True, slots=True)
class Bar:
    at: datetime
    ok: int
    failed: int


def bars(agent_id: int, since: datetime, until: datetime, step: timedelta) -> list[Bar]:
    """Outcomes in steps that begin at `since`; steps without any are left out."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT date_bin(%s::interval, at, %s) AS bar, sum(ok), sum(failed) FROM agents_minute
            WHERE agent_id = %s AND at >= %s AND at < %s GROUP BY bar ORDER BY bar
            """,
            [f"{step.total_seconds()} seconds", since, agent_id, since, until],
        )
        return [Bar(at, int(ok), int(failed)) for at, ok, failed in cursor.fetchall()]


def newest_minute(agent_id: int) -> datetime | None:
    found: datetime | None = Minute.objects.filter(agent_id=agent_id).aggregate(at=Max("at"))["at"]
    return found


def runs(agent_id: int, *, before: datetime | None = None, size: int = RUNS) -> tuple[list[Run], bool]:
    """Runs, newest first, and whether there are older ones."""
    rows = Run.objects.filter(instance__agent_id=agent_id).select_related("instance")
    if before:
        rows = rows.filter(started_at__lt=before)
    found = list(rows.order_by("-started_at", "id")[: size + 1])
    return found[:size], len(found) > size
