"""Writers and their runs: who is the newest, and which lives an instance had.

The server numbers epochs at register. A request carries the epoch of its writer; an older one is *fenced*:
what it had spooled still arrives, marked late, and it changes no state and obeys nothing. A process that was
never given an epoch (its start was refused, its home is new) may act for an instance only while no other
process of it lives.

The instance's row lock orders everything that its processes send.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable
from functools import cache

import msgspec

from agents.models import Agent, Entry, Instance, Kind, Run, RunState
from agents.services import entries, incidents, rows
from agents.services.lines import Event, Hex32, Time
from agents.services.snapshots import text

ENDS = {"finished": RunState.FINISHED, "failed": RunState.FAILED}


class NotFound(Exception):
    """There is no such agent, instance or run in this project."""


def find(project_id: int, agent: str, instance: str) -> Instance:
    found = Instance.objects.select_related("agent").filter(**_key(project_id, agent, instance)).first()
    if found is None:
        raise NotFound
    return found


def lock(project_id: int, agent: str, instance: str, *then: rows.Statement) -> Instance:
    """The instance with its agent; its row is ours until the commit. `then` is done once it is, or not."""
    found, *_ = rows.several((_locking(), [project_id, agent, instance]), *then)
    if not found:
        raise NotFound
    row = found[0]
    locked = rows.build(Instance, row[: rows.width(Instance)])
    locked.agent = rows.build(Agent, row[rows.width(Instance) :])
    return locked


@cache
def _locking() -> str:
    return (
        f"SELECT {rows.columns(Instance, 'i')}, {rows.columns(Agent, 'a')} FROM agents_instance i"
        " JOIN agents_agent a ON a.id = i.agent_id"
        " WHERE a.project_id = %s AND a.name = %s AND i.name = %s FOR UPDATE OF i"
    )


def _key(project_id: int, agent: str, instance: str) -> dict[str, object]:
    return {"agent__project_id": project_id, "agent__name": agent, "name": instance}


def is_newest(instance: Instance, epoch: int | None) -> bool:
    """An epoch beyond ours is newer too: this database was restored from a backup."""
    return bool(epoch) and (epoch or 0) >= instance.epoch


def is_fenced(instance: Instance, epoch: int | None) -> bool:
    """Whether a newer process has taken over from this writer."""
    return bool(epoch) and (epoch or 0) < instance.epoch


def may_obey(instance: Instance, epoch: int) -> bool:
    """The newest process obeys commands; while none lives, so does one that still waits for its epoch."""
    return epoch >= instance.epoch or (epoch == 0 and not instance.live)


def run_of(instance: Instance, run_id: uuid.UUID, *, started_at: dt.datetime) -> Run:
    """The run of this instance with this id, created on sight; another instance's is not found.

    A statement of its own, after the lock: joined to it, the run could be as it was before the wait.
    """
    run = rows.first(Run, "m.id = %s", [run_id])
    if run is None:
        fresh = Run(id=run_id, instance=instance, started_at=started_at)
        Run.objects.bulk_create([fresh], ignore_conflicts=True)
        run = rows.first(Run, "m.id = %s", [run_id])
    if run is None or run.instance_id != instance.pk:
        raise NotFound
    return run


def end(instance: Instance, run: Run, events: Iterable[tuple[Event, dt.datetime]], now: dt.datetime) -> None:
    """How a run, or an earlier one, ended by its own lines."""
    for event, at in events:
        if event.name in ENDS:
            _ended(instance, run.pk, ENDS[event.name], at)
        elif event.name == "vanished" and event.run is not None:
            bury(instance, Vanished(event.run, None, event.counted, event.doing, event.title), at, now)


def _ended(instance: Instance, run_id: uuid.UUID, state: RunState, at: dt.datetime) -> None:
    running = Run.objects.filter(pk=run_id, instance=instance, state=RunState.RUNNING)
    if not running.update(state=state, ended_at=at):
        return
    if instance.live and Run.objects.filter(pk=run_id, epoch=instance.epoch).exists():
        Instance.objects.filter(pk=instance.pk).update(live=False, gone_since=at)
        instance.live, instance.gone_since = False, at


class Vanished(msgspec.Struct, frozen=True):
    """What a machine says of a run that ended there without a word."""

    run: Hex32
    at: Time | None = None
    counted: bool = False
    doing: str | None = None
    title: str | None = None


def bury(instance: Instance, said: Vanished, at: dt.datetime, now: dt.datetime) -> None:
    """The agent's machine found a run that ended without a word. A crash counts once, whoever saw it."""
    _ended(instance, uuid.UUID(said.run), RunState.VANISHED, at)
    crash = f"crash-{said.run}"
    known = Entry.objects.filter(agent_id=instance.agent_id, kind=Kind.FAILURE, ref=crash)
    if not said.counted or known.exclude(kind=Kind.ACTION).exists():
        return
    entries.write(
        project_id=instance.agent.project_id,
        agent_id=instance.agent_id,
        instance_id=instance.pk,
        at=at,
        kind=Kind.FAILURE,
        name=text(said.doing, 200) or "run",
        outcome="crash",
        title=text(said.title, 500) or "the process died",
        ref=crash,
        body={"counted": True, "run": said.run},
        now=now,
    )
    incidents.failure_counted(instance.agent_id, now)
