"""Rows as the operators' routes show them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import orjson
from django.conf import settings
from ninja import Status

from agents.api import problems
from agents.models import Agent, Command, Entry, Incident, Instance, Pause, Proposal, ToolHold
from agents.queries import budgets, timeline
from agents.services import alerts, decisions, holds, incidents

Row = TypeVar("Row")
State = Literal["open", "acknowledged", "decided", "applied", "closed"]
AGAIN = {
    "stale": "Read the incident again and decide from its current version.",
    "lost": "Read the incident: it has been decided.",
    "taken_up": "Pause the agent again if it must not go on.",
    "waits": "Confirm or decline that one, as another person.",
    "nobody": "Let a person decide, or use a token that a person made.",
    "own": "Ask a second person to confirm it.",
    "lapsed": "Ask for it again.",
    "not_allowed": "Ask somebody who may decide.",
    "nothing_to_decide": "Read the incident or the agent: nothing of it waits.",
}


def page(found: Sequence[Row], limit: int, key: Callable[[Row], str]) -> tuple[Sequence[Row], str | None]:
    """What is shown, and where the next page begins, if there is one."""
    shown = found[:limit]
    return shown, key(shown[-1]) if len(found) > limit else None


def agent(found: Agent, now: dt.datetime) -> dict[str, Any]:
    instances: list[Any] = list(found.instances.all())
    held: list[Pause] = [pause for instance in instances for pause in instance.held]
    spent = budgets.of_agent(found, instances, now)
    return {
        "name": found.name,
        "status": found.status,
        "status_since": found.status_since,
        "version": found.version,
        "epoch": max((instance.epoch for instance in instances), default=0),
        "paused_by": held[0].owner if held else None,
        "incident": held[0].incident_id if held else None,
        "budget": {
            "consecutive": spent.consecutive,
            "max_consecutive": spent.max_consecutive,
            "hourly": spent.hourly,
            "max_hourly": spent.max_hourly,
        },
        "last_known_good": found.last_good,
        "about": found.about,
        "owner": found.owner,
        "runbook": found.runbook,
        "while_paused": found.while_paused,
        "instances": [_instance(instance) for instance in instances],
        "url": f"{settings.SITE_URL}/p/{_project(found)}/agents/{found.name}/",
    }


def entry(found: Entry) -> dict[str, Any]:
    return {
        "id": found.id,
        "kind": found.kind,
        "at": found.at,
        "received_at": found.received_at,
        "name": found.name,
        "outcome": found.outcome or None,
        "verdict": found.verdict or None,
        "title": found.title,
        "run": found.run_id,
        "seq": found.seq,
        "late": found.late,
        "ref": found.ref or None,
        "body": _json(found.body),
    }


def searched(found: timeline.Page) -> dict[str, Any]:
    return {
        "entries": [entry(one) for one in found.entries],
        "next": str(found.older) if found.older else None,
        "searched_to": found.searched_to,
    }


def incident(found: Incident) -> dict[str, Any]:
    pauses = list(found.pauses.all())
    return {
        "id": found.pk,
        "version": found.version,
        "state": found.state,
        "cause": found.cause,
        "title": found.title,
        "agents": agents_of(found),
        "failure_group": found.group.title if found.group else None,
        "opened_at": found.opened_at,
        "acknowledged_at": found.acknowledged_at,
        "acknowledged_by": _by(found),
        "decided_at": found.decided_at,
        "closed_at": found.closed_at,
        "pauses": [_pause(pause) for pause in pauses],
        "url": f"{settings.SITE_URL}/p/{found.project.name}/incidents/{found.pk}/",
    }


def agents_of(found: Incident) -> list[str]:
    """The names of the agents that it is about."""
    held = {pause.instance.agent.name for pause in found.pauses.all()}
    return sorted(held | {i.agent.name for i in found.instances.all()} | {found.agent.name})


def incident_detail(found: Incident) -> dict[str, Any]:
    made = [
        {
            "agent": decision.pause.instance.agent.name,
            "instance": decision.pause.instance.name,
            "decision": decision.verb,
            "version": decision.version,
            "reason": decision.reason,
            "guidance": decision.guidance or None,
            "probation": decision.probation,
            "by": decision.by,
            "at": decision.at,
            "withdrawn": any(c.state == Command.State.WITHDRAWN for c in decision.commands.all()),
        }
        for decision in sorted(found.decisions.all(), key=lambda decision: decision.at)
    ]
    return {
        **incident(found),
        "decisions": made,
        "asked_for": asked_for(found),
        "alerts": alerts.told(found).sentence,
    }


def hold(found: ToolHold) -> dict[str, Any]:
    return {
        "id": found.pk,
        "tool": found.tool,
        "incident": found.incident_id,
        "everywhere": found.everywhere,
        "agents": sorted(agent.name for agent in found.agents.all()),
        "reason": found.reason,
        "by": found.by,
        "since": found.at,
        "lifted_by": found.lifted_by or None,
        "lifted_at": found.lifted_at,
    }


def held(outcome: holds.Outcome) -> dict[str, Any]:
    """The hold; 409 says who was first, or that there is nothing to hold."""
    if not outcome.done or outcome.hold is None:
        raise problems.Problem(409, "lost", outcome.sentence, "Read /api/v1/holds/: it says what is held.")
    return hold(outcome.hold)


def acknowledged(done: incidents.Acknowledged) -> dict[str, Any]:
    found = done.incident
    if found is None:
        raise problems.not_found("incident")
    return {
        "id": found.pk,
        "state": found.state,
        "version": found.version,
        "acknowledged_at": found.acknowledged_at,
        "acknowledged_by": _by(found),
    }


def decided(outcome: decisions.Outcome) -> Status[dict[str, Any]]:
    """200 when anything was decided, 202 when it waits for a second person, 409 when nothing could be,
    with the version that holds now."""
    if outcome.name == "not_found":
        raise problems.not_found("incident")
    if outcome.name not in ("decided", "withdrawn", "asked"):
        version = outcome.version or None
        raise problems.Problem(409, outcome.name, outcome.sentence, AGAIN[outcome.name], version=version)
    waits = outcome.name == "asked"
    shown = {
        "incident": outcome.incident.pk if outcome.incident else None,
        "version": outcome.version,
        "message": outcome.sentence,
        "asked_for": asked_for(outcome.incident) if waits and outcome.incident else None,
        "results": [
            {"agent": r.agent, "instance": r.instance, "result": r.result, "taken_up": r.taken_up}
            for r in outcome.results
        ],
    }
    return Status(202 if waits else 200, shown)


def asked_for(found: Incident) -> dict[str, Any] | None:
    """What waits for a second person."""
    proposal = Proposal.objects.filter(incident=found, state=Proposal.State.WAITING).first()
    if proposal is None:
        return None
    words = proposal.words
    return {
        "id": proposal.pk, "decision": proposal.verb, "version": proposal.version,
        "reason": words["reason"], "guidance": words["guidance"] or None, "probation": words["probation"],
        "agents": words["agents"], "checkpoints": sorted(set(proposal.targets.values())),
        "by": proposal.by, "at": proposal.at, "lapses_at": proposal.lapses_at, "state": proposal.state,
    }  # fmt: skip


def _instance(found: Instance) -> dict[str, Any]:
    heartbeat = getattr(found, "heartbeat", None)
    return {
        "name": found.name,
        "status": found.status,
        "status_since": found.status_since,
        "epoch": found.epoch,
        "live": found.live and found.gone_since is None,
        "gone_since": found.gone_since,
        "last_seen": heartbeat.last_seen if heartbeat else None,
        "doing": found.doing or None,
        "refused_starts": found.refused_starts,
        "host": found.host,
        "pid": found.pid,
    }


def _pause(found: Pause) -> dict[str, Any]:
    return {
        "id": found.pk,
        "agent": found.instance.agent.name,
        "instance": found.instance.name,
        "state": found.state,
        "owner": found.owner,
        "cause": found.cause,
        "in_flight": found.in_flight or None,
        "at": found.at,
        "settled_at": found.settled_at,
    }


def _by(found: Incident) -> str | None:
    return found.acknowledged_by.email if found.acknowledged_by else None


def _project(found: Agent) -> str:
    return found.project.name


def _json(body: str) -> Any:
    try:
        return orjson.loads(body)
    except ValueError:
        return body
