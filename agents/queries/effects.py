"""What the pages read of effects: those an incident asks about, and which are still in flight."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import F

from agents.models import Effect, Incident, Run, RunState

ASKED_READ = 200


def asked(incident: Incident) -> list[Effect]:
    """The effects this incident asks about, oldest first."""
    found = Effect.objects.filter(incident=incident).select_related("instance__agent", "command")
    return list(found.order_by("begun_at", "pk")[:ASKED_READ])


def in_flight(effects: Iterable[Effect]) -> set[str]:
    """Of these, by id: those whose process lives and has not said how they ended."""
    begun = {effect.pk: effect.run_id for effect in effects if effect.state == Effect.State.BEGUN}
    if not begun:
        return set()
    living = Run.objects.filter(
        pk__in=set(begun.values()),
        state=RunState.RUNNING,
        epoch=F("instance__epoch"),
        instance__live=True,
        instance__gone_since=None,
    )
    runs = set(living.values_list("pk", flat=True))
    return {id for id, run in begun.items() if run in runs}
