"""Plain builders for the laws of the domain: they show only what matters to a test."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from django.db import transaction

from agents import access
from agents.models import Agent, Entry, Heartbeat, Incident, Instance, Kind, Pause, Project, User
from agents.services import failures, pauses, snapshots

NOW = dt.datetime(2026, 3, 4, 3, 12, 4, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)
MINUTE = dt.timedelta(minutes=1)


def make_agent(project: Project, name: str = "refund-desk", **fields: Any) -> Agent:
    return Agent.objects.create(project=project, name=name, **fields)


def make_instance(agent: Agent, name: str = "main", *, live: bool = True, **fields: Any) -> Instance:
    fields = {"status": "running" if live else "idle", "reported": "running" if live else "idle", **fields}
    instance = Instance.objects.create(agent=agent, name=name, live=live, **fields)
    Heartbeat.objects.create(instance=instance, last_seen=NOW)
    return instance


def worker(project: Project, name: str = "refund-desk", **fields: Any) -> Instance:
    """An agent with one living instance."""
    return make_instance(make_agent(project, name), **fields)


def actor(user: User, project: Project) -> access.Actor:
    found = access.person(user, project)
    assert found is not None
    return found


def says(
    instance: Instance, status: str = "running", *, now: dt.datetime = NOW, **more: Any
) -> pauses.SnapshotResult:
    """The instance's snapshot arrives, as ingest takes it: under its row's lock."""
    with transaction.atomic():
        locked = Instance.objects.select_for_update().select_related("agent").get(pk=instance.pk)
        state = snapshots.read({"status": status, **more})
        result = pauses.take_snapshot(agent=locked.agent, instance=locked, run_id=None, state=state, now=now)
    instance.refresh_from_db()
    return result


def pause_said(id: uuid.UUID | None = None, *, owner: str = "budget", **more: Any) -> dict[str, Any]:
    cause = "3 failures in a row, the limit is 3"
    return {"id": str(id or uuid.uuid4()), "owner": owner, "cause": cause, **more}


def spends_its_budget(instance: Instance, *, now: dt.datetime = NOW, **more: Any) -> Pause:
    """The instance pauses itself and says so."""
    said = pause_said(**more)
    says(instance, "paused", pause=said, now=now)
    return Pause.objects.get(pk=said["id"])


def settled(pause: Pause, verb: str = "resume") -> dict[str, Any]:
    """What the snapshot says after the decision about `pause` was obeyed."""
    command = pause.commands.get(kind=verb)
    return {"pause": str(pause.pk), "command": str(command.pk), "verb": verb}


def fails(
    instance: Instance,
    name: str = "issue_refund",
    exception: str = "ValueError",
    *,
    run: uuid.UUID | None = None,
    seq: int = 1,
    now: dt.datetime = NOW,
) -> str:
    """A failure event of the instance is stored with its group; its id."""
    run = run or uuid.uuid4()
    seen = failures.FailureSeen(seq, name, "error", exception, "refused", None, now)
    agent = instance.agent
    with transaction.atomic():
        found = failures.grouped(
            project_id=agent.project_id, agent_id=agent.pk, seen=[seen], now=now, run_id=run
        )
        Entry.objects.create(
            id=f"{run.hex}-{seq}", at=now, received_at=now, project_id=agent.project_id, agent_id=agent.pk,
            instance_id=instance.pk, run_id=run, seq=seq, kind=Kind.FAILURE, name=name, outcome="error",
            verdict="", group_id=found[seq], ref="", title="", body="{}",
        )  # fmt: skip
    return f"{run.hex}-{seq}"


def only_incident() -> Incident:
    return Incident.objects.get()
