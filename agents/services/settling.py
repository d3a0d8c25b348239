"""How a pause ends: the agent says, by a receipt or in its snapshot, that it obeyed the command.

Both may arrive, in either order, and more than once; the pause's conditional update lets one of them count.
"""

from __future__ import annotations

import datetime as dt
import uuid

from agents.models import Command, Incident, Pause, PauseState
from agents.services import alerts, incidents
from agents.services.snapshots import text

OPEN = (Command.State.ORDERED, Command.State.TAKEN)


def settle(command: Command, now: dt.datetime) -> bool:
    """The command was obeyed; false when its pause had been settled before, or the command was withdrawn."""
    if is_unproven(command):
        return False
    Command.objects.filter(pk=command.pk, state__in=OPEN).update(state=Command.State.DONE, done_at=now)
    void = command.state == Command.State.WITHDRAWN
    if void or command.pause_id is None or command.kind == Command.Kind.PAUSE or _is_outdated(command):
        return False
    state = PauseState.STOPPED if command.kind == Command.Kind.STOP else PauseState.LIFTED
    decided = Pause.objects.filter(pk=command.pause_id, state=PauseState.DECIDED)
    if not decided.update(state=state, settled_at=now):
        return False
    overtake(command.pause_id, but=command.pk)
    incident_id = Pause.objects.values_list("incident_id", flat=True).get(pk=command.pause_id)
    incidents.settle(incident_id, now)
    return True


def _is_outdated(command: Command) -> bool:
    """The pause waits for a newer command: an agent that was stopped says so until it hears of its start."""
    newer = Command.objects.filter(pause=command.pause, version__gt=command.version, state__in=OPEN)
    return newer.exclude(kind=Command.Kind.PAUSE).exists()


def is_unproven(command: Command) -> bool:
    """A rollback is obeyed once its result was compared with the checkpoint, which marks the payload."""
    return command.kind == Command.Kind.ROLLBACK and not command.payload.get("verified")


def refuse(command: Command, why: str, now: dt.datetime) -> bool:
    """The agent could not do it: whoever decided is asked again, and paged; its pause holds as before."""
    rows = Command.objects.filter(pk=command.pk, state__in=OPEN)
    if not rows.update(state=Command.State.REFUSED, done_at=now, why=text(why, 500)):
        return False
    decided = Pause.objects.filter(commands=command, state=PauseState.DECIDED)
    if not decided.update(state=PauseState.PAUSED):
        return False
    incident = Incident.objects.get(pauses__commands=command)
    incidents.wait_again(incident, now)
    alerts.again(incident, f"{command.pk}-refused", now)
    return True


def overtake(pause_id: uuid.UUID, *, but: uuid.UUID | None = None) -> int:
    """What this pause still asked of the agent no longer matters."""
    rows = Command.objects.filter(pause_id=pause_id, state__in=OPEN)
    if but is not None:
        rows = rows.exclude(pk=but)
    return rows.update(state=Command.State.OVERTAKEN)
