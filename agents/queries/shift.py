"""What happened in a project since a time, for whoever takes over: a fixed number of queries."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.db.models import Avg, Count, F, Q, Sum

from agents.models import Agent, Incident, Minute, Note, Status
from agents.queries.incidents import UNDECIDED

LISTED = 50
STREAKS = 5
HELD = (Status.PAUSING, Status.PAUSED, Status.STOPPED, Status.SILENT, Status.BLOCKED)


@dataclass(frozen=True)
class Shift:
    """`recovered`: agents that failed, were held by nothing, and go on. Times of people are sums."""

    opened: list[Incident]
    opened_in_all: int
    waiting: list[Incident]
    snoozed: list[Incident]
    notes: list[Note]
    done: int
    failed: int
    recovered: list[tuple[str, int]]
    streaks: list[Agent]
    had_for: dt.timedelta
    waited_for: dt.timedelta | None


def since(project_id: int, start: dt.datetime, now: dt.datetime) -> Shift:
    mine = Incident.objects.filter(project_id=project_id).select_related(
        "agent", "group", "acknowledged_by", "assigned_to"
    )
    opened = mine.filter(opened_at__gte=start).order_by("-opened_at")
    waiting = list(mine.filter(state__in=UNDECIDED).order_by("opened_at")[:LISTED])
    decided = Incident.objects.filter(project_id=project_id, decided_at__gte=start)
    took = decided.aggregate(
        had=Sum(F("decided_at") - F("acknowledged_at"), filter=Q(acknowledged_at__isnull=False)),
        waited=Avg(F("decided_at") - F("opened_at")),
    )
    minutes = Minute.objects.filter(agent__project_id=project_id, at__gte=start)
    totals = minutes.aggregate(ok=Sum("ok"), failed=Sum("failed"))
    held = opened.values("instances__agent")
    failing = minutes.filter(failed__gt=0).exclude(agent__in=held.exclude(instances__agent=None))
    notes = Note.objects.filter(incident__project_id=project_id, at__gte=start).order_by("at")
    recovered = failing.values("agent__name").annotate(count=Sum("failed")).order_by("-count")
    return Shift(
        opened=list(opened.prefetch_related("decisions")[:LISTED]),
        opened_in_all=opened.count(),
        waiting=waiting,
        snoozed=[one for one in waiting if one.snoozed_until is not None],
        notes=list(notes[:LISTED]),
        done=totals["ok"] or 0,
        failed=totals["failed"] or 0,
        recovered=[(row["agent__name"], row["count"]) for row in recovered[:LISTED]],
        streaks=_streaks(project_id),
        had_for=took["had"] or dt.timedelta(),
        waited_for=took["waited"],
    )


def _streaks(project_id: int) -> list[Agent]:
    """The agents that have run longest without a human, and run now."""
    running = Agent.objects.filter(project_id=project_id).exclude(status__in=HELD)
    living = running.annotate(living=Count("instances", filter=Q(instances__live=True)))
    return list(living.filter(living__gt=0).order_by("unattended_since")[:STREAKS])
