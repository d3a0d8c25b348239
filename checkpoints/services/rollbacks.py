"""Rollbacks as people order them: from an agent's page or a token, or as the decision of an incident.

    order    the agent goes back; what was paused stays paused, what runs goes on from there
    decide   the decision *roll back and resume*: incidents' own decision, with a target and a Rollback row

Both make one row and one command an instance in one transaction, under the instance's lock, so of two at
once one counts and the other is told. The command is the queue: it waits for a host that is away, and can be
withdrawn until a run takes it up. What the agent says of it is services/restoring's.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from agents import announce
from agents.access import Actor
from agents.models import Agent, Command, Incident, Instance, Kind
from agents.services import audit, commands, decisions, entries, pauses, settling
from agents.services.snapshots import text
from checkpoints import blast, queries
from checkpoints.models import Checkpoint, Rollback
from checkpoints.proving import Scope
from checkpoints.services import aiming
from checkpoints.services.aiming import Wanted


@dataclass(frozen=True)
class Ordered:
    """The rows, and what is said beside them."""

    rollbacks: list[Rollback]
    remarks: list[str]
    sentence: str


@transaction.atomic
def order(*, actor: Actor, agent: Agent, wanted: Wanted, now: dt.datetime) -> Ordered:
    """Put the agent back; its pause, if it has one, stays."""
    instances = list(
        Instance.objects.select_for_update(of=("self",), no_key=True)
        .filter(agent=agent)
        .select_related("agent")
        .order_by("pk")
    )
    aiming.refuse_unproven(actor, [agent])
    if agent.two_people:
        raise aiming.Refused(
            "two_people",
            f"{agent.name} needs two people for a rollback, and an incident to ask them in.",
            "Pause it if it runs; then decide rollback in its incident.",
        )
    targets = aiming.of_agent(agent, instances, wanted)
    for instance, _ in targets:
        _refuse_what_was_not_seen(instance, wanted.shown_at)
        _refuse_in_the_way(instance, even_ordered=True)
    rows, remarks = [], []
    for instance, target in targets:
        scope = aiming.scope_for(target, wanted)
        row = _row(actor, instance, target, scope, wanted.reason, now)
        payload = _payload(row, target, scope) | {"pause": None, "decision": None, "incident": None}
        payload |= {"reason": row.reason, "guidance": None, "probation": False, "by": row.by}
        row.command = commands.order(
            instance=instance,
            kind=Command.Kind.ROLLBACK,
            payload=payload,
            pause=None,
            decision=None,
            now=now,
        )
        row.save(force_insert=True)
        rows.append(row)
        remarks += blast.of(target).remarks
    sentence = _sentence([instance for instance, _ in targets], now)
    _tell(actor, agent, rows, sentence, now)
    return Ordered(rows, list(dict.fromkeys(remarks)), sentence)


@transaction.atomic
def decide(
    *,
    actor: Actor,
    incident_id: int,
    version: int,
    wanted: Wanted,
    now: dt.datetime,
    guidance: str = "",
    probation: bool = True,
    agents: Iterable[str] | None = None,
    confirmed: bool = False,
) -> decisions.Outcome:
    """Roll back and resume: every waiting pause that the checkpoint, or the last known good one, is for."""
    decisions.lock_those_of(incident_id)
    incident = Incident.objects.filter(pk=incident_id, project_id=actor.project_id).first()
    waiting = aiming.waiting(incident, agents) if incident is not None else []
    aiming.refuse_unproven(actor, [pause.instance.agent for pause in waiting])
    rows: dict[int, Rollback] = {}
    orders: dict[int, decisions.Order] = {}
    if incident is not None and incident.version == version and waiting:
        for instance, target in aiming.of_incident(incident, waiting, wanted):
            _refuse_in_the_way(instance, even_ordered=False)
            scope = aiming.scope_for(target, wanted)
            row = _row(actor, instance, target, scope, wanted.reason, now, goes_on=True)
            rows[instance.pk] = row
            orders[instance.pk] = decisions.Order(target.pk, _payload(row, target, scope))
    outcome = decisions.decide(
        actor=actor,
        incident_id=incident_id,
        verb="rollback",
        version=version,
        reason=wanted.reason,
        guidance=guidance,
        probation=probation,
        agents=agents,
        orders=orders,
        more=aiming.kept(wanted),
        confirmed=confirmed,
        now=now,
    )
    for result in outcome.results:
        if result.command is not None:
            _overtake(result.command)
            _decided(rows[result.command.instance_id], result.command, incident_id)
    return outcome


@transaction.atomic
def withdraw(*, actor: Actor, rollback: Rollback, reason: str, now: dt.datetime) -> str:
    """Take back what no run has taken up; the sentence. Refused, when a run was first."""
    Instance.objects.select_for_update(no_key=True).get(pk=rollback.instance_id)
    if rollback.incident is not None and rollback.decision is not None:
        version = Incident.objects.values_list("version", flat=True).get(pk=rollback.incident)
        outcome = decisions.withdraw(
            actor=actor, incident_id=rollback.incident, version=version, reason=reason, now=now
        )
        if outcome.name != "withdrawn":
            raise aiming.Refused(outcome.name, outcome.sentence, "Pause the agent if it must not go on.")
        return outcome.sentence
    waiting = Command.objects.filter(rollbacks=rollback, state=Command.State.ORDERED)
    why = text(f"withdrawn by {actor.name}", 500)
    if not waiting.update(state=Command.State.WITHDRAWN, done_at=now, why=why):
        fresh = queries.rollbacks().get(pk=rollback.pk)
        raise aiming.Refused(
            "taken_up", f"It is {fresh.stage} already, so it holds.", "Roll back to `before` to undo it."
        )
    _note(rollback.agent, [rollback], "withdrawn", f"{actor.name} took a rollback back", now)
    announce.changed_agent(rollback.agent_id, rollback.project_id)
    _audit(actor, rollback.agent, "withdraw rollback", reason, [rollback], now)
    return "Withdrawn: no run had taken it up."


def _refuse_what_was_not_seen(instance: Instance, shown_at: dt.datetime | None) -> None:
    """Whoever looked at a page from before another rollback was shown the wrong losses."""
    if shown_at is None:
        return
    ended = (Rollback.State.VERIFIED, Rollback.State.FAILED)
    since = queries.rollbacks().filter(instance=instance, ended_at__gt=shown_at, state__in=ended)
    if (row := since.order_by("-ended_at").first()) is not None:
        done = "rolled it back" if row.state == Rollback.State.VERIFIED else "tried to roll it back"
        raise aiming.Refused(
            "stale",
            f"{row.by} {done} at {row.ended_at:%H:%M:%S}, after this was shown.",
            "Look at what is there now, then order it again.",
        )


def _refuse_in_the_way(instance: Instance, *, even_ordered: bool) -> None:
    """One at a time. An order that nobody took up gives way to an incident's decision, not to another."""
    begun = (Rollback.State.ORDERED, Rollback.State.RESTORING)
    open_rows = queries.rollbacks().filter(
        instance=instance, state__in=begun, command__state__in=settling.OPEN
    )
    for row in open_rows:
        if row.stage in (Rollback.State.TAKEN, Rollback.State.RESTORING):
            raise aiming.Refused(
                "restoring",
                f"{instance.agent.name} is being rolled back by {row.by} since {row.ordered_at:%H:%M:%S}.",
                "Wait until that ends.",
            )
        if row.stage == Rollback.State.ORDERED and even_ordered:
            raise aiming.Refused(
                "lost",
                f"{row.by} was first, at {row.ordered_at:%H:%M:%S}: no run has taken that rollback up yet.",
                "Withdraw that one first, if yours is to count.",
            )


def _overtake(command: Command) -> None:
    """What was ordered before this decision, and taken up by nobody, gives way to it."""
    before = Command.objects.filter(instance=command.instance_id, kind=Command.Kind.ROLLBACK)
    before.filter(state=Command.State.ORDERED, version__lt=command.version).update(
        state=Command.State.OVERTAKEN
    )


def _row(
    actor: Actor,
    instance: Instance,
    target: Checkpoint,
    scope: Scope,
    reason: str,
    now: dt.datetime,
    *,
    goes_on: bool = False,
) -> Rollback:
    return Rollback(
        project_id=target.project_id,
        agent_id=target.agent_id,
        instance=instance,
        checkpoint=target.pk,
        scope=scope.plain(),
        goes_on=goes_on,
        by=text(actor.name, 200),
        reason=text(reason, 500),
        ordered_at=now,
    )


def _payload(row: Rollback, target: Checkpoint, scope: Scope) -> dict[str, Any]:
    return {
        "rollback": str(row.pk),
        "checkpoint": str(target.pk),
        "memory": _hex(target.memory),
        "workspace": _hex(target.workspace),
        "scope": scope.plain(),
        "goes_on": row.goes_on,
    }


def _decided(row: Rollback, command: Command, incident_id: int) -> None:
    row.command, row.decision, row.incident = command, command.decision_id, incident_id
    row.save(force_insert=True)


def _sentence(instances: list[Instance], now: dt.datetime) -> str:
    gone = [instance for instance in instances if not pauses.listens(instance, now)]
    if not gone:
        return "Ordered: obeyed at the next safe point."
    if len(gone) == len(instances):
        return "Taken up when it next starts."
    return f"{len(gone)} of {len(instances)} take it up when they next start."


def _tell(actor: Actor, agent: Agent, rows: list[Rollback], sentence: str, now: dt.datetime) -> None:
    reason = rows[0].reason
    _note(agent, rows, "ordered", f"{actor.name} rolls it back" + (f": {reason}" if reason else ""), now)
    announce.changed_agent(agent.pk, agent.project_id)
    _audit(actor, agent, "rollback", reason, rows, now)


def _note(agent: Agent, rows: list[Rollback], outcome: str, title: str, now: dt.datetime) -> None:
    for row in rows:
        entries.write(
            project_id=agent.project_id,
            agent_id=agent.pk,
            instance_id=row.instance_id,
            at=now,
            kind=Kind.COMMAND,
            name="rollback",
            outcome=outcome,
            title=title,
            ref=str(row.pk),
            body={"rollback": row.pk, "checkpoint": row.checkpoint, "scope": row.scope, "by": row.by},
            now=now,
        )


def _audit(
    actor: Actor, agent: Agent, verb: str, reason: str, rows: list[Rollback], now: dt.datetime
) -> None:
    audit.record(
        project_id=agent.project_id,
        actor=actor.name,
        verb=verb,
        object=f"agent {agent.name}",
        reason=reason,
        saw={
            "status": agent.status,
            "version": agent.version,
            "rollbacks": [str(row.pk) for row in rows],
            "checkpoints": [str(row.checkpoint) for row in rows],
            "scope": rows[0].scope,
        },
        now=now,
    )


def _hex(name: bytes | None) -> str | None:
    return None if name is None else bytes(name).hex()
