"""A rollback that has begun and cannot go on: what is in its way, and how it is finished."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse

from agents.models import Incident, Instance
from checkpoints.models import Rollback


@dataclass(frozen=True, slots=True)
class Stuck:
    agent: str
    why: str
    href: str


def stuck(incident: Incident, instances: list[Instance]) -> Stuck | None:
    """The newest one of these instances; nothing of its agent runs before it is finished."""
    waits = Rollback.objects.filter(instance__in=instances, state=Rollback.State.RESTORING).exclude(why="")
    row = waits.select_related("agent").order_by("-ordered_at").first()
    if row is None:
        return None
    return Stuck(row.agent.name, row.why, reverse("rollback", args=[incident.project.name, row.pk]))
