"""What people do with a checkpoint that changes nothing in it: pin it, look at its secrets, take a file."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from agents import announce
from agents.access import Actor
from agents.services import audit
from agents.services.snapshots import text
from checkpoints.models import Checkpoint


@transaction.atomic
def pin(*, actor: Actor, checkpoint: Checkpoint, pinned: bool, now: dt.datetime) -> bool:
    """Whether this changed it. A pinned one is never thinned."""
    rows = Checkpoint.objects.filter(pk=checkpoint.pk, pinned=not pinned)
    if not rows.update(pinned=pinned):
        return False
    announce.changed_agent(checkpoint.agent_id, checkpoint.project_id)
    _record(actor, "pin checkpoint" if pinned else "unpin checkpoint", checkpoint, "", now)
    return True


@transaction.atomic
def reveal(*, actor: Actor, checkpoint: Checkpoint, what: str, now: dt.datetime) -> None:
    """Written down before anything is shown; `what` is where it stands, never its value."""
    _record(actor, "reveal secret", checkpoint, what, now)


@transaction.atomic
def download(*, actor: Actor, checkpoint: Checkpoint, path: str, now: dt.datetime) -> None:
    _record(actor, "download file", checkpoint, path, now)


def _record(actor: Actor, verb: str, checkpoint: Checkpoint, what: str, now: dt.datetime) -> None:
    audit.record(
        project_id=checkpoint.project_id,
        actor=actor.name,
        verb=verb,
        object=f"checkpoint {checkpoint.pk}",
        reason="",
        saw={"of": text(what, 500)} if what else {},
        now=now,
    )
