"""A rollback that did not end well: what is in its way, what is there now, and how to go on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from agents.models import Incident, Instance, Pause, PauseState
from checkpoints.models import Rollback

WAITING = (PauseState.PAUSING, PauseState.PAUSED)
AS_IT_WAS = "Nothing was changed: its memory and its files are as they were."
ANOTHER = "What is there now is neither the checkpoint nor surely what was before, so nothing of it runs."


@dataclass(frozen=True, slots=True)
class Stuck:
    """It has begun and cannot go on."""

    agent: str
    why: str
    href: str


@dataclass(frozen=True, slots=True)
class Failed:
    """It ended otherwise than it was decided, and its agent waits for a decision again."""

    agent: str
    why: str
    kept: str
    at: datetime | None
    href: str
    again: str


def stuck(incident: Incident, instances: list[Instance]) -> Stuck | None:
    """The newest one of these instances; nothing of its agent runs before it is finished."""
    waits = Rollback.objects.filter(instance__in=instances, state=Rollback.State.RESTORING).exclude(why="")
    row = waits.select_related("agent").order_by("-ordered_at").first()
    if row is None:
        return None
    return Stuck(row.agent.name, row.why.rstrip("."), _page("rollback", incident, row.pk))


def failed(incident: Incident, instances: list[Instance], held: Iterable[Pause]) -> list[Failed]:
    """For each instance that waits, its newest rollback, if that failed since the incident opened."""
    waiting = [pause.instance_id for pause in held if pause.state in WAITING]
    newest = Rollback.objects.filter(instance__in=waiting, ordered_at__gte=incident.opened_at)
    newest = newest.order_by("instance_id", "-ordered_at").distinct("instance_id")
    found = newest.select_related("agent", "command")
    return [_failed(incident, row) for row in found if row.stage in ("failed", "refused")]


def _failed(incident: Incident, row: Rollback) -> Failed:
    is_another = row.memory is not None or row.workspace is not None or row.paths is not None
    told = row.why or (row.command.why if row.command else "")
    return Failed(
        row.agent.name,
        (told or "it did not say why").rstrip("."),
        ANOTHER if is_another else AS_IT_WAS,
        row.ended_at or (row.command.done_at if row.command else None),
        _page("rollback", incident, row.pk),
        _page("roll_back", incident, row.checkpoint),
    )


def _page(name: str, incident: Incident, id: object) -> str:
    return reverse(name, args=[incident.project.name, id])
