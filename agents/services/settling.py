"""How a pause ends: the agent says, by a receipt or in its snapshot, that it obeyed the command.

Both may arrive, in either order, and more than once; the pause's conditional update lets one of them count.
"""

from __future__ import annotations

import datetime as dt
import uuid

from agents.models import Command, Pause, PauseState
from agents.services import incidents

OPEN = (Command.State.ORDERED, Command.State.TAKEN)


def settle(command: Command, now: dt.datetime) -> bool:
    """The command was obeyed; false when its pause had been settled before, or the command was withdrawn."""
    Command.objects.filter(pk=command.pk, state__in=OPEN).update(state=Command.State.DONE, done_at=now)
    void = command.state == Command.State.WITHDRAWN
    if void or command.pause_id is None or command.kind == Command.Kind.PAUSE:
        return False
    state = PauseState.STOPPED if command.kind == Command.Kind.STOP else PauseState.LIFTED
    decided = Pause.objects.filter(pk=command.pause_id, state=PauseState.DECIDED)
    if not decided.update(state=state, settled_at=now):
        return False
    overtake(command.pause_id, but=command.pk)
    incident_id = Pause.objects.values_list("incident_id", flat=True).get(pk=command.pause_id)
    incidents.settle(incident_id, now)
    return True


def overtake(pause_id: uuid.UUID, *, but: uuid.UUID | None = None) -> int:
    """What this pause still asked of the agent no longer matters."""
    rows = Command.objects.filter(pause_id=pause_id, state__in=OPEN)
    if but is not None:
        rows = rows.exclude(pk=but)
    return rows.update(state=Command.State.OVERTAKEN)
