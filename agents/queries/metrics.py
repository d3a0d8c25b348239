"""The numbers that an outside monitor wants of a project, in a fixed number of queries."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Avg, Count, F, Max, Min, QuerySet

from agents.models import Agent, Attempt, Command, Incident, IncidentState, Outbox, Status
from agents.queries.incidents import UNDECIDED

WAITING = (Outbox.State.WAITING, Outbox.State.CLAIMED)
LATELY = dt.timedelta(hours=1)
LATE = dt.timedelta(seconds=60)


@dataclass(frozen=True)
class Numbers:
    """Ages in seconds; 0 where nothing waits. `first_alert_*`: from opening to handed over, last hour."""

    agents: Mapping[str, int]
    incidents: Mapping[str, int]
    oldest_unacknowledged: float
    alerts_waiting: int
    oldest_alert: float
    oldest_command: float
    first_alert_mean: float
    first_alert_max: float


def of_project(project_id: int, now: dt.datetime) -> Numbers:
    agents = Agent.objects.filter(project_id=project_id).values_list("status").annotate(Count("pk"))
    found = Incident.objects.filter(project_id=project_id, state__in=UNDECIDED)
    counted = found.values("state").annotate(count=Count("pk"), first=Min("opened_at"))
    open_ones = {row["state"]: (row["count"], row["first"]) for row in counted}
    due = Outbox.objects.filter(target__project_id=project_id, state__in=WAITING, due_at__lte=now)
    alerts = due.aggregate(count=Count("pk"), first=Min("due_at"))
    ordered = Command.objects.filter(instance__agent__project_id=project_id, state=Command.State.ORDERED)
    first = _first_alerts(project_id, now).aggregate(mean=Avg("took"), most=Max("took"))
    return Numbers(
        agents={str(status): 0 for status in Status} | dict(agents),
        incidents={str(state): open_ones.get(state, (0, None))[0] for state in UNDECIDED},
        oldest_unacknowledged=_age(open_ones.get(IncidentState.OPEN, (0, None))[1], now),
        alerts_waiting=alerts["count"],
        oldest_alert=_age(alerts["first"], now),
        oldest_command=_age(ordered.aggregate(first=Min("ordered_at"))["first"], now),
        first_alert_mean=_seconds(first["mean"]),
        first_alert_max=_seconds(first["most"]),
    )


def alerts_late_since(project_id: int, now: dt.datetime) -> dt.datetime | None:
    """When the oldest alert of the project should have gone out, if it waits for longer than a minute."""
    return _oldest_late(now).filter(target__project_id=project_id).values_list("due_at", flat=True).first()


def any_alert_late_since(now: dt.datetime) -> dt.datetime | None:
    """The same of all projects."""
    return _oldest_late(now).values_list("due_at", flat=True).first()


def _oldest_late(now: dt.datetime) -> QuerySet[Outbox]:
    return Outbox.objects.filter(state__in=WAITING, due_at__lt=now - LATE).order_by("due_at")


def _first_alerts(project_id: int, now: dt.datetime) -> QuerySet[Attempt, Any]:
    """For each incident of the last hour, how long its first message took to be handed over."""
    sent = Attempt.objects.filter(
        outcome=Attempt.Outcome.SENT,
        outbox__incident__project_id=project_id,
        outbox__incident__opened_at__gt=now - LATELY,
        outbox__about=Outbox.About.OPENED,
    )
    return sent.values("outbox__incident").annotate(
        took=Min(F("ended_at") - F("outbox__incident__opened_at"))
    )


def _age(since: dt.datetime | None, now: dt.datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since else 0.0


def _seconds(took: dt.timedelta | None) -> float:
    return took.total_seconds() if took is not None else 0.0
