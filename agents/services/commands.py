"""Commands: the row is the queue, the socket only says look.

An instance's commands are numbered under its row's lock. A process takes a command by a receipt before it
obeys it: the first one wins. It is taken again only by a newer epoch (the older writer is fenced by then)
or by another process after a minute without `done`, because whoever took it first may have died in between.
"""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any, Literal

from django.db.models import F

from agents.announce import announce
from agents.models import Command, Decision, Instance, Pause
from agents.services import settling
from agents.services.snapshots import text

RETAKEN_AFTER = dt.timedelta(seconds=60)
OPEN = settling.OPEN

Said = Literal["taken", "done", "refused"]


@dataclass(frozen=True)
class Receipt:
    """The answer to a receipt: `state`, or the `error` that says why the caller must not act."""

    state: str = ""
    error: Literal["", "fenced", "taken", "overtaken", "unproven", "unknown"] = ""
    command: Command | None = None

    @property
    def ok(self) -> bool:
        return not self.error


def order(
    *,
    instance: Instance,
    kind: str,
    payload: dict[str, Any],
    pause: Pause | None,
    decision: Decision | None,
    now: dt.datetime,
) -> Command:
    """The next command of this instance, whose row the caller has locked."""
    Instance.objects.filter(pk=instance.pk).update(commands_version=F("commands_version") + 1)
    instance.refresh_from_db(fields=["commands_version"])
    command = Command.objects.create(
        instance=instance,
        version=instance.commands_version,
        kind=kind,
        payload=payload,
        pause=pause,
        decision=decision,
        ordered_at=now,
    )
    announce(f"commands-{instance.pk}", command.version)
    return command


def order_last(*, instances: list[Instance], kind: str, payload: dict[int, Any], now: dt.datetime) -> None:
    """The next command of each, locked by the caller; it says all there is of its kind, so the last wins."""
    ids = [instance.pk for instance in instances]
    overtake_kind(ids, kind)
    Instance.objects.filter(pk__in=ids).update(commands_version=F("commands_version") + 1)
    versions = dict(Instance.objects.filter(pk__in=ids).values_list("pk", "commands_version"))
    Command.objects.bulk_create(
        Command(instance_id=pk, version=versions[pk], kind=kind, payload=payload[pk], ordered_at=now)
        for pk in ids
    )
    for pk in ids:
        announce(f"commands-{pk}", versions[pk])


def overtake_kind(ids: list[int], kind: str) -> None:
    """What was asked before and is not done yet no longer matters."""
    rows = Command.objects.filter(instance__in=ids, kind=kind, state__in=OPEN)
    rows.update(state=Command.State.OVERTAKEN)


def waiting(instance: Instance, after: int) -> list[dict[str, Any]]:
    """What the instance has not obeyed yet, oldest first, as it travels."""
    rows = Command.objects.filter(instance=instance, version__gt=after, state__in=OPEN).order_by("version")
    return [
        {
            "id": str(command.pk),
            "version": command.version,
            "kind": command.kind,
            "ordered_at": command.ordered_at.timestamp(),
            "payload": command.payload,
        }
        for command in rows
    ]


def receipt(
    *,
    instance: Instance,
    command_id: uuid.UUID,
    epoch: int,
    process: str,
    state: Said,
    why: str,
    now: dt.datetime,
) -> Receipt:
    """Note what a process did with a command, whose instance the caller has locked."""
    command = Command.objects.filter(pk=command_id, instance=instance).first()
    if command is None:
        return Receipt(error="unknown")
    if epoch < instance.epoch:
        return Receipt(error="fenced", command=command)
    if state == "taken":
        return _take(command, epoch, process, now)
    return _end(command, process, state, why, now)


def _take(command: Command, epoch: int, process: str, now: dt.datetime) -> Receipt:
    if command.state == Command.State.TAKEN and command.taken_by != process:
        newer = command.taken_epoch is None or epoch > command.taken_epoch
        stale = command.taken_at is None or now - command.taken_at > RETAKEN_AFTER
        if not newer and not stale:
            return Receipt(error="taken", command=command)
    elif command.state not in OPEN:
        return _ended(command, process)
    Command.objects.filter(pk=command.pk).update(
        state=Command.State.TAKEN, taken_by=process, taken_epoch=epoch, taken_at=now
    )
    command.refresh_from_db()
    return Receipt(state="taken", command=command)


def _end(command: Command, process: str, state: Said, why: str, now: dt.datetime) -> Receipt:
    if command.state not in OPEN:
        return _ended(command, process)
    if command.state == Command.State.TAKEN and command.taken_by != process:
        return Receipt(error="taken", command=command)
    if state == "done" and settling.is_unproven(command):
        return Receipt(error="unproven", command=command)
    if state == "refused" and command.kind == Command.Kind.ROLLBACK:
        settling.refuse(command, why, now)
    Command.objects.filter(pk=command.pk).update(
        state=state, taken_by=process, done_at=now, why=text(why, 500)
    )
    command.refresh_from_db()
    if state == "done":
        settling.settle(command, now)
    return Receipt(state=state, command=command)


def _ended(command: Command, process: str) -> Receipt:
    """A repeat by the same process gets the same answer; anyone else is told not to act."""
    if command.taken_by == process and command.state in (Command.State.DONE, Command.State.REFUSED):
        return Receipt(state=command.state, command=command)
    void = command.state in (Command.State.OVERTAKEN, Command.State.WITHDRAWN)
    return Receipt(error="overtaken" if void else "taken", command=command)
