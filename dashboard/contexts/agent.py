"""The head of an agent's page: what it is, how it is, and the one next step; and its runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from agents import access
from agents.access import Actor
from agents.models import Agent, Incident, Run, RunState, Status
from agents.queries import density, incidents
from agents.queries.incidents import UNDECIDED
from dashboard import phrasing
from dashboard.contexts import fleet, holding
from dashboard.contexts.asked import moment, written

NEEDS = "Needs the role responder"


@dataclass(frozen=True, slots=True)
class Step:
    """The one next step: a link; with `opens`, scripts open that dialog instead."""

    word: str
    icon: str
    href: str
    look: str = ""
    opens: str = ""
    needs: str = ""


@dataclass(frozen=True, slots=True)
class Life:
    """One run in the list: how long it lasted, and its part of the timeline."""

    run: Run
    lasted: str
    href: str


def page(agent: Agent, actor: Actor, now: datetime, tab: str) -> dict[str, Any]:
    """What stands around every tab."""
    args = [agent.project.name, agent.name]
    tabs = (
        ("Timeline", "agent"),
        ("Checkpoints", "agent_checkpoints"),
        ("Runs", "agent_runs"),
        ("Policy", "agent_policy"),
    )
    return {
        "project": agent.project,
        "tabs": [(word, reverse(name, args=args), name == tab) for word, name in tabs],
        "may_pause": access.can(actor, "pause", agent),
        "may_decide": access.can(actor, "decide", agent),
        **head(agent, actor, now),
    }


def head(agent: Agent, actor: Actor, now: datetime) -> dict[str, Any]:
    """The head alone, for its refetch."""
    incident = incidents.holding(agent.project, agent.pk)
    starts = incidents.start_ordered(agent.pk) if agent.status == Status.STOPPED else None
    return {
        "agent": agent,
        "now": now,
        "row": fleet.row(agent, incident, now),
        "incident": incident,
        "starts": starts,
        "step": step(agent, actor, incident, starts),
        "runbook": runbook(agent),
        "holds": holding.over(agent),
        "topic": f"agent-{agent.pk}",
        "standing": f"standing-{agent.pk}",
    }


def step(agent: Agent, actor: Actor, incident: Incident | None, starts: datetime | None = None) -> Step:
    """Decide what waits; else start what was stopped; else pause."""
    args = [agent.project.name, agent.name]
    if incident and incident.state in UNDECIDED and agent.status != Status.STOPPED:
        word = "Decide" if access.can(actor, "decide", agent) else "See"
        return Step(
            f"{word} incident {incident.pk}",
            icon="arrow-right",
            href=_incident(agent, incident),
            look="primary",
        )
    if starts is not None:
        runs = reverse("agent_runs", args=args)
        return Step("Start is ordered", icon="loader", href=_incident(agent, incident) if incident else runs)
    if agent.status == Status.STOPPED:
        may = access.can(actor, "decide", agent)
        return Step(
            "Start again", "play", reverse("agent_start", args=args), "primary", "start", "" if may else NEEDS
        )
    if incident:
        return Step(f"Follow incident {incident.pk}", icon="arrow-right", href=_incident(agent, incident))
    may = access.can(actor, "pause", agent)
    return Step("Pause", "circle-pause", reverse("agent_pause", args=args), "", "pause", "" if may else NEEDS)


def runbook(agent: Agent) -> str:
    """The runbook where it is an address that may be followed; agents send this text."""
    return agent.runbook if agent.runbook.startswith(("https://", "http://")) else ""


def runs(agent: Agent, before: str, now: datetime) -> dict[str, Any]:
    """A page of the lives of an agent's processes."""
    found, more = density.runs(agent.pk, before=moment(before))
    timeline = reverse("agent", args=[agent.project.name, agent.name])
    lives = [Life(run, _lasted(run, now), f"{timeline}?{urlencode({'run': run.id.hex})}") for run in found]
    return {
        "lives": lives,
        "many": any(run.instance.name != "main" for run in found),
        "older": f"?{urlencode({'before': written(found[-1].started_at)})}" if more else "",
        "newest": "?" if before else "",
    }


def _incident(agent: Agent, incident: Incident) -> str:
    return reverse("incident", args=[agent.project.name, incident.pk])


def _lasted(run: Run, now: datetime) -> str:
    if run.ended_at is None and run.state != RunState.RUNNING:
        return ""
    return phrasing.age(((run.ended_at or now) - run.started_at).total_seconds())
