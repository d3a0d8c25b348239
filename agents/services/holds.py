"""Hold the tool: calls to it wait, other work goes on, until somebody lifts it.

    hold    a row, for the agents of an incident or for everyone of the project, those to come included
    told    each process that listens gets one command with all the tools held for it: the last one wins, and
            what was not obeyed yet is overtaken. Whoever starts gets the same list with its registration.
    lift    the row ends by a conditional update; everyone is told what is held still

A hold stops no agent and decides nothing about a pause: it outlives its incident, and ends by `lift` alone.
Holds of a project are made and lifted one after the other, and a new worker waits for the one under way: it
is told of it by its registration, or by its command.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Greatest

from agents import announce
from agents.access import Actor
from agents.models import Agent, Cause, Command, Entry, Incident, Instance, Kind, ToolHold
from agents.services import audit, blockages, commands, pauses
from agents.services.snapshots import text

LOCK = 0x5B_401D
NO_TOOLS = ("", "run", "start")
MOST = 200


@dataclass(frozen=True)
class Outcome:
    """Whether it was done, and the sentence that says so, or who was first."""

    done: bool
    sentence: str
    hold: ToolHold | None = None


@transaction.atomic
def hold(*, actor: Actor, incident_id: int, everywhere: bool, reason: str, now: dt.datetime) -> Outcome:
    """Calls to the tool of this incident wait from here on; one that has begun ends as it would."""
    _lock(actor.project_id)
    mine = Incident.objects.filter(pk=incident_id, project_id=actor.project_id)
    incident = mine.select_related("group", "agent").first()
    tool = tool_of(incident) if incident is not None else ""
    if incident is None or not tool:
        return Outcome(False, "This incident is about no tool that could be held.")
    if (first := ToolHold.objects.filter(incident=incident, tool=tool, lifted_at=None).first()) is not None:
        return Outcome(False, f"{tool} is held already, by {first.by}.", first)
    if ToolHold.objects.filter(project_id=actor.project_id, lifted_at=None).count() >= MOST:
        return Outcome(False, f"{MOST} tools are held in this project: let one go first.")
    made = ToolHold.objects.create(
        project_id=actor.project_id, incident=incident, tool=tool, everywhere=everywhere,
        reason=text(reason, 500), by=actor.name, at=now,
    )  # fmt: skip
    if not everywhere:
        made.agents.set(agents_of(incident))
    _moved(made, "hold", made.by, made.reason, now)
    return Outcome(True, f"Calls to {tool} wait now, until somebody lifts it.", made)


@transaction.atomic
def lift(*, actor: Actor, id: int, reason: str, now: dt.datetime) -> Outcome:
    """Calls that wait go on at once."""
    _lock(actor.project_id)
    mine = ToolHold.objects.filter(pk=id, project_id=actor.project_id)
    lifted = mine.filter(lifted_at=None).update(
        lifted_at=now, lifted_by=actor.name, lifted_why=text(reason, 500)
    )
    found = mine.select_related("incident__agent").first()
    if found is None:
        return Outcome(False, "There is no such hold.")
    if not lifted:
        return Outcome(False, f"{found.tool} was let go already, by {found.lifted_by}.", found)
    _moved(found, "lift", found.lifted_by, found.lifted_why, now)
    return Outcome(True, f"Calls to {found.tool} go on.", found)


def tool_of(incident: Incident) -> str:
    """The tool that failed; nothing where no call to a tool did."""
    if incident.cause == Cause.BLOCKED:
        return blockages.tool_of(incident.title)
    name = incident.group.action if incident.group else ""
    return "" if name in NO_TOOLS or _is_of_a_step(incident) else name


def agents_of(incident: Incident) -> set[int]:
    own = Instance.objects.filter(Q(incidents=incident) | Q(pauses__incident=incident))
    return {incident.agent_id, *own.values_list("agent_id", flat=True)}


def standing(project_id: int) -> list[ToolHold]:
    """Those of a project that nobody has lifted, oldest first."""
    found = ToolHold.objects.filter(project_id=project_id, lifted_at=None).order_by("at", "pk")
    return list(found.prefetch_related("agents"))


def over(agent: Agent, found: Iterable[ToolHold]) -> list[ToolHold]:
    """Those of them that cover this agent."""
    return [held for held in found if held.everywhere or agent in held.agents.all()]


def taken_up(instance: Instance) -> list[dict[str, Any]]:
    """What a process that registers is told; no command of before has more to say. Its row is locked."""
    if instance.commands_version:
        commands.overtake_kind([instance.pk], Command.Kind.HOLD)
    return _said(over(instance.agent, standing(instance.agent.project_id)))


def await_others(project_id: int) -> None:
    """A new worker, whom a hold under way cannot see yet, waits until it stands."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s, %s)", [LOCK, project_id])


def _lock(project_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK, project_id])


def _said(found: Iterable[ToolHold]) -> list[dict[str, Any]]:
    """As it travels: each tool once, by whoever held it first."""
    tools: dict[str, dict[str, Any]] = {}
    for held in found:
        told = {"tool": held.tool, "by": held.by, "reason": held.reason, "since": held.at.timestamp()}
        tools.setdefault(held.tool, told)
    return list(tools.values())


def _moved(held: ToolHold, verb: str, by: str, why: str, now: dt.datetime) -> None:
    """Everyone covered is told; it is written down and announced."""
    agents = Agent.objects.filter(project_id=held.project_id)
    covered = list((agents if held.everywhere else agents.filter(holds=held)).order_by("pk"))
    calls = _tell(covered, held.project_id, now)
    did = "held" if verb == "hold" else "lifted"
    where = "everywhere" if held.everywhere else ", ".join(agent.name for agent in covered[:20])
    incident = held.incident
    title = f"{held.tool} {did} by {by}: {why}" if why else f"{held.tool} {did} by {by}"
    body = {"tool": held.tool, "everywhere": held.everywhere, "agents": len(covered)}
    pauses.note(incident.agent, None, Kind.DECISION, verb, did, title, incident.pk, body, now)
    announce.announce(f"incident-{incident.pk}", incident.version)
    announce.changed_agents([agent.pk for agent in covered], held.project_id)
    audit.record(
        project_id=held.project_id, actor=by, verb=f"{verb} the tool", object=f"incident {incident.pk}",
        reason=why, now=now,
        saw={"tool": held.tool, "hold": held.pk, "agents": where, "version": incident.version,
             "waiting": sum(each.get(held.tool, 0) for each in calls)},
    )  # fmt: skip


def _tell(covered: list[Agent], project_id: int, now: dt.datetime) -> list[dict[str, int]]:
    """A command for every process that listens; what their calls wait for now.

    All workers are locked, also those that are away: a registration before this lock is seen here, and one
    after it sees the hold.
    """
    rows = Instance.objects.filter(agent__in=covered).order_by("pk")
    list(rows.select_for_update(no_key=True).values_list("pk", flat=True))
    waits_since = Greatest(now - pauses.HEARD_WITHIN, F("gone_since") + pauses.WAITS_AFTER)
    listening = list(rows.filter(Q(live=True) | Q(heartbeat__last_seen__gt=waits_since)))
    found, agents = standing(project_id), {agent.pk: agent for agent in covered}
    said = {pk: _said(over(agent, found)) for pk, agent in agents.items()}
    payload = {instance.pk: {"holds": said[instance.agent_id]} for instance in listening}
    commands.order_last(instances=listening, kind=Command.Kind.HOLD, payload=payload, now=now)
    return [instance.held_calls or {} for instance in listening]


def _is_of_a_step(incident: Incident) -> bool:
    """The failure that opened it belongs to no call: a step, or the run itself, has raised."""
    run, _, seq = incident.failure.partition("-")
    try:
        key = uuid.UUID(run), int(seq)
    except ValueError:
        return False
    if not 0 < key[1] < 2**63:
        return False
    bodies = Entry.objects.filter(run_id=key[0], seq=key[1], agent_id=incident.agent_id)
    body = next(iter(bodies.values_list("body", flat=True)[:1]), None)
    try:
        told = json.loads(body) if body else None
    except ValueError:
        return False
    return isinstance(told, dict) and told.get("kind", "failure") == "failure" and "act" not in told
