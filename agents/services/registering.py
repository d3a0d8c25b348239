"""Register: a process says who it is, and is given an epoch, or the pause that keeps it from starting.

The agent and its instance are made on sight. The snapshot is applied first: a pause in it is always taken,
the rest only from the newest writer. If a pause then holds the instance, the start is refused: no run, no
epoch, one folded entry. Otherwise the run begins under the next epoch, and whoever had the one before is
fenced and told to look. The same run registering again gets the same answer. A run that began while the
server was away joins: it lives already, so it gets its epoch also under a pause, which it is told of.
"""

from __future__ import annotations

import datetime as dt
import time
import uuid
from typing import Annotated, Any, Literal

import msgspec
from django.db import connection, transaction
from django.db.models import F

from agents import announce
from agents.models import Agent, Command, Decision, Heartbeat, Instance, Kind, Pause, Run
from agents.services import accounts, entries, epochs, holds, pauses, refused, snapshots
from agents.services.lines import AgentName, Epoch, Hex32, InstanceName, Time
from agents.services.snapshots import text

BEAT_S = 20.0
RECONNECTS_A_SECOND = 250
COUNTED_FOR_S = 10.0
Limit = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=366 * 86400)]
FOLD = """
UPDATE agents_entry SET title = %s, body = %s
WHERE agent_id = %s AND kind <> 'action' AND name = 'refused to start' AND ref = %s AND at >= %s
"""


class Limits(msgspec.Struct, frozen=True):
    max_consecutive: Limit = 3
    max_hourly: Limit = 10


class Registration(msgspec.Struct, frozen=True):
    """What a process says of itself. Over-long descriptions are cut, not refused."""

    agent: AgentName
    process: Hex32
    run: Hex32
    started_at: Time
    sent_at: Time
    instance: InstanceName = "main"
    epoch: Epoch | None = 0
    wants: Literal["run", "wait", "join"] = "run"
    state: dict[str, Any] | None = None
    host: str | None = None
    pid: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None
    code_version: str | None = None
    about: str | None = None
    owner: str | None = None
    runbook: str | None = None
    while_paused: str | None = None
    every_s: Seconds | None = None
    grace_s: Seconds | None = None
    heal: bool = True
    shared_workspace: bool = False
    beat: bool = True
    budget: Limits = Limits()
    vanished: epochs.Vanished | None = None


def register(*, project_id: int, said: Registration, now: dt.datetime) -> dict[str, Any]:
    """Start a run, or say what holds it."""
    with transaction.atomic():
        agent, _ = Agent.objects.get_or_create(project_id=project_id, name=said.agent)
        _, is_new = Instance.objects.get_or_create(agent=agent, name=said.instance)
        if is_new:
            holds.await_others(project_id)
        instance = epochs.lock(project_id, said.agent, said.instance)
        known = Run.objects.filter(pk=uuid.UUID(said.run)).first()
        if known is not None and known.instance_id != instance.pk:
            raise epochs.NotFound
        if said.vanished is not None and not epochs.is_fenced(instance, said.epoch):
            at = snapshots.corrected(said.vanished.at, now.timestamp() - said.sent_at, now)
            epochs.bury(instance, said.vanished, at, now)
        _take_state(instance, said, now)
        held = pauses.holding(instance)
        if known is not None and known.epoch is not None:
            epoch: int | None = known.epoch
        elif held is not None and said.wants != "join":
            epoch = None
            if said.wants == "run":
                _refuse(instance, held, now)
        else:
            epoch = _start(instance, said, now)
        if epoch == instance.epoch:
            _hear(instance, now)
        announce.changed_agent(instance.agent_id, project_id)
        return {"epoch": epoch, **_told(instance, held, now)}


def reconnect_max_s() -> float:
    """Over how long agents spread their reconnecting, so that a restart is no stampede."""
    global _live
    if (known := reconnect_known()) is not None:
        return known
    _live = time.monotonic(), Instance.objects.filter(live=True).count()
    return max(2.0, _live[1] / RECONNECTS_A_SECOND)


def reconnect_known() -> float | None:
    """The same without a look at the database, if it was looked at lately."""
    if time.monotonic() - _live[0] > COUNTED_FOR_S:
        return None
    return max(2.0, _live[1] / RECONNECTS_A_SECOND)


_live = (-COUNTED_FOR_S, 0)


def _take_state(instance: Instance, said: Registration, now: dt.datetime) -> None:
    """All of the newest writer's snapshot; of anyone else's only the pause."""
    if said.state is None:
        return
    state = snapshots.read(said.state)
    if (said.epoch or 0) < instance.epoch:
        if state.pause is None:
            return
        state = snapshots.State(status="paused", pause=state.pause)
    pauses.take_snapshot(
        agent=instance.agent,
        instance=instance,
        run_id=uuid.UUID(said.run),
        state=state,
        now=now,
        offset_s=now.timestamp() - said.sent_at,
    )


def _start(instance: Instance, said: Registration, now: dt.datetime) -> int:
    """The next epoch, and its run; the process before is told to look, and finds itself fenced."""
    _describe(instance.agent, said, now)
    refused.started(instance.agent.project_id, said.agent)
    epoch = max(instance.epoch, said.epoch or 0) + 1
    offset = now.timestamp() - said.sent_at
    fields = {
        "instance": instance,
        "epoch": epoch,
        "offset_s": offset,
        "host": text(said.host, 200),
        "pid": said.pid,
        "code_version": text(said.code_version, 200),
    }
    started_at = snapshots.corrected(said.started_at, offset, now)
    Run.objects.update_or_create(
        id=uuid.UUID(said.run), defaults=fields, create_defaults={**fields, "started_at": started_at}
    )
    replaces = instance.live
    instance.epoch, instance.live, instance.gone_since, instance.refused_starts = epoch, True, None, 0
    instance.host, instance.pid, instance.beats = text(said.host, 200), said.pid, said.beat
    instance.commands_version += replaces
    instance.save(
        update_fields=[
            "epoch", "live", "beats", "gone_since", "refused_starts", "host", "pid", "commands_version",
        ]
    )  # fmt: skip
    if replaces:
        announce.announce(f"commands-{instance.pk}", instance.commands_version)
    return epoch


def _describe(agent: Agent, said: Registration, now: dt.datetime) -> None:
    """What the developer said about the agent, as of its newest start."""
    Agent.objects.filter(pk=agent.pk).update(
        about=text(said.about, 500),
        owner=text(said.owner, 200),
        runbook=text(said.runbook, 500),
        while_paused=text(said.while_paused, 500),
        heal=said.heal,
        shared_workspace=said.shared_workspace,
        max_consecutive=said.budget.max_consecutive,
        max_hourly=said.budget.max_hourly,
        every_s=said.every_s,
        grace_s=said.grace_s,
        due_at=now + dt.timedelta(seconds=said.every_s) if said.every_s else None,
    )


def _hear(instance: Instance, now: dt.datetime) -> None:
    Heartbeat.objects.update_or_create(instance=instance, defaults={"last_seen": now})


def _refuse(instance: Instance, held: Pause, now: dt.datetime) -> None:
    """One entry for all starts that this pause refused, and a count that goes up."""
    Instance.objects.filter(pk=instance.pk).update(refused_starts=F("refused_starts") + 1)
    instance.refresh_from_db(fields=["refused_starts"])
    times = instance.refused_starts
    title = "refused to start" if times == 1 else f"refused to start {times} times"
    with connection.cursor() as cursor:
        body = f'{{"times":{times},"incident":{held.incident_id}}}'
        cursor.execute(FOLD, [title, body, instance.agent_id, str(held.pk), held.at])
        if cursor.rowcount:
            return
    entries.write(
        project_id=instance.agent.project_id,
        agent_id=instance.agent_id,
        instance_id=instance.pk,
        at=now,
        kind=Kind.SIGNAL,
        name="refused to start",
        outcome="refused",
        title=title,
        ref=str(held.pk),
        body={"times": times, "incident": held.incident_id},
        now=now,
    )


def _told(instance: Instance, held: Pause | None, now: dt.datetime) -> dict[str, Any]:
    return {
        "pause": pauses.answer(held),
        "account": accounts.merged_for_wire(instance, now),
        "guidance": _guidance(instance),
        "commands_version": instance.commands_version,
        "holds": holds.taken_up(instance),
        "beat_s": BEAT_S,
        "reconnect_max_s": reconnect_max_s(),
        "now": now.timestamp(),
    }


def _guidance(instance: Instance) -> str | None:
    """What the human said with the last decision, until the next one."""
    void = (Command.State.WITHDRAWN, Command.State.REFUSED)
    said = Decision.objects.filter(pause__instance=instance).exclude(commands__state__in=void)
    last = said.order_by("-at").first()
    return (last.guidance or None) if last is not None else None
