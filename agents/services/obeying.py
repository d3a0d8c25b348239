"""What a process is told to do, and its word that it did it."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from django.db import transaction

from agents import announce
from agents.models import Instance
from agents.services import commands, epochs, settling


def told(instance: Instance, epoch: int, after: int) -> dict[str, Any]:
    """The commands that wait; none for a writer that has been replaced."""
    fenced = not epochs.may_obey(instance, epoch)
    waiting = [] if fenced else commands.waiting(instance, after)
    return {"commands": waiting, "commands_version": instance.commands_version, "fenced": fenced}


@transaction.atomic
def note(
    *,
    project_id: int,
    agent: str,
    instance: str,
    command_id: uuid.UUID,
    epoch: int,
    process: str,
    state: commands.Said,
    why: str,
    now: dt.datetime,
) -> commands.Receipt:
    """A receipt, under the instance's lock; what is done is settled in the same transaction."""
    found = epochs.lock(project_id, agent, instance)
    if epochs.may_obey(found, epoch):
        epoch = max(epoch, found.epoch)
    receipt = commands.receipt(
        instance=found,
        command_id=command_id,
        epoch=epoch,
        process=process,
        state=state,
        why=why,
        now=now,
    )
    if receipt.ok and state == "done" and receipt.command is not None:
        settling.settle(receipt.command, now)
    if receipt.ok:
        announce.changed_agent(found.agent_id, project_id, standing=state == "done")
    return receipt
