"""How an instance is shown while its state is put back: *restoring* stands above all else, until it ends."""

from __future__ import annotations

import datetime as dt

from agents.models import Instance, PauseState, Status
from agents.services import incidents, pauses

HELD = {PauseState.PAUSING: Status.PAUSING, PauseState.STOPPED: Status.STOPPED}


def begin(instance: Instance, now: dt.datetime) -> None:
    """From now on, whatever its snapshots say. The caller has locked the instance."""
    Instance.objects.filter(pk=instance.pk, restoring_since=None).update(restoring_since=now)
    _show(instance, Status.RESTORING, now)


def end(instance: Instance, now: dt.datetime) -> None:
    """It is again what holds it, or what it said last."""
    Instance.objects.filter(pk=instance.pk).update(restoring_since=None)
    instance.restoring_since = None
    held = pauses.holding(instance)
    if held is not None:
        status: str = HELD.get(PauseState(held.state), Status.PAUSED)
    elif instance.reported in (Status.RESTORING, Status.PAUSED, Status.PAUSING):
        status = Status.RUNNING if instance.live else Status.IDLE
    else:
        status = instance.reported
    _show(instance, status, now)


def _show(instance: Instance, status: str, now: dt.datetime) -> None:
    """Whoever is to decide about it is shown another status."""
    if not pauses.show(instance, status, now):
        return
    pauses.refresh_agent(instance.agent_id, now)
    for pk in incidents.concerning(instance).order_by("pk").values_list("pk", flat=True):
        incidents.bump(pk)
