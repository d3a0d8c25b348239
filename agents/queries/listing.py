"""What the operators' routes list: pages by key, a constant number of queries a page."""

from __future__ import annotations

import re

from django.db.models import Prefetch, QuerySet

from agents.models import Agent, Entry, Incident, IncidentState, Instance, Kind, Pause, PauseState
from agents.queries import timeline

AGENT_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
HOLDING = (PauseState.PAUSING, PauseState.PAUSED, PauseState.DECIDED, PauseState.STOPPED)
WAITING = (IncidentState.OPEN, IncidentState.ACKNOWLEDGED)


def agents(project_id: int, *, status: str | None, before: str | None, limit: int) -> list[Agent]:
    """By name; one more than `limit` tells that there is a next page."""
    found = _whole(Agent.objects.filter(project_id=project_id)).order_by("name")
    if status:
        found = found.filter(status=status)
    if before:
        found = found.filter(name__gt=before)
    return list(found[: limit + 1])


def agent(project_id: int, name: str) -> Agent | None:
    if not AGENT_NAME.fullmatch(name):
        return None
    return _whole(Agent.objects.filter(project_id=project_id, name=name)).first()


def agent_name(pk: int) -> str:
    """Of an entry's agent; nothing when that is gone."""
    return Agent.objects.filter(pk=pk).values_list("name", flat=True).first() or ""


def entries(agent_id: int, *, kind: str | None, before: timeline.Key | None, limit: int) -> list[Entry]:
    """The newest first; one more than `limit`."""
    rows = Entry.objects.filter(agent_id=agent_id).order_by("-at", "-id").defer("digest")
    if before:
        rows = rows.filter(pk__lt=tuple(before))
    if kind and kind != Kind.ACTION:  # Says what the partial index is about, so that the planner may use it.
        rows = rows.exclude(kind=Kind.ACTION)
    if kind:
        rows = rows.filter(kind=kind)
    return list(rows[: limit + 1])


def incidents(project_id: int, *, state: str | None, before: int | None, limit: int) -> list[Incident]:
    """The newest first; `open` is everything that waits for a decision."""
    found = _with_pauses(Incident.objects.filter(project_id=project_id)).order_by("-pk")
    if state == IncidentState.OPEN:
        found = found.filter(state__in=WAITING)
    elif state:
        found = found.filter(state=state)
    if before is not None:
        found = found.filter(pk__lt=before)
    return list(found[: limit + 1])


def incident(project_id: int, pk: int) -> Incident | None:
    if not 0 < pk < 2**63:
        return None
    found = _with_pauses(Incident.objects.filter(project_id=project_id, pk=pk))
    return found.prefetch_related("decisions__pause__instance__agent", "decisions__commands").first()


def _whole(found: QuerySet[Agent]) -> QuerySet[Agent]:
    """With its instances, when each was heard of, and what holds it."""
    held = Pause.objects.filter(state__in=HOLDING).order_by("at", "pk")
    instances = Instance.objects.select_related("heartbeat").order_by("name")
    return found.select_related("project").prefetch_related(
        Prefetch("instances", instances), Prefetch("instances__pauses", held, to_attr="held")
    )


def _with_pauses(found: QuerySet[Incident]) -> QuerySet[Incident]:
    pauses = Pause.objects.select_related("instance__agent").order_by("at", "pk")
    return found.select_related("agent", "group", "acknowledged_by", "project").prefetch_related(
        Prefetch("pauses", pauses), Prefetch("instances", Instance.objects.select_related("agent"))
    )
