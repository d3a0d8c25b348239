"""One incident in a list: what broke, since when, who saw it, and the one next step."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from agents.models import Agent, Cause, Incident, IncidentState
from agents.queries import budgets
from agents.queries.budgets import Spent
from dashboard import phrasing

FIGURES = re.compile(r"(?<![\w.-])(\d[\d.,:]*\d|\d)(?![\w-])")
NEXT = {
    Cause.BUDGET: "Review and decide",
    Cause.HUMAN: "Review and decide",
    Cause.DETECTOR: "Review and decide",
    Cause.REPORTED: "Review and decide",
    Cause.EFFECT: "Say if it happened",
    Cause.QUESTION: "Answer it",
    Cause.SILENCE: "Look for it",
    Cause.MISSED: "Look for it",
    Cause.BLOCKED: "See what blocks it",
}


@dataclass(frozen=True, slots=True)
class Row:
    incident: Incident
    element: str
    agent: Agent
    about: str
    status: str
    title: list[tuple[str, bool]]
    seen_by: str
    spent: Spent
    next_step: str


def row(incident: Incident, now: datetime) -> Row:
    agents = {p.instance.agent_id: p.instance.agent for p in incident.pauses.all()}
    agents.pop(incident.agent_id, None)
    return Row(
        incident=incident,
        agent=incident.agent,
        element=f"waiting-{incident.pk}",
        about=f"and {len(agents)} more" if agents else "",
        status=incident.agent.status,
        title=figures(incident.title) + again(incident),
        seen_by=str(incident.acknowledged_by or "") if incident.acknowledged_at else "",
        spent=budgets.of_agent(incident.agent, incident.agent.workers, now),
        next_step=next_step(incident),
    )


def again(incident: Incident) -> list[tuple[str, bool]]:
    """For the how many-th time it broke like this."""
    times = incident.group.failures if incident.group else 0
    return [(f"; {phrasing.nth(times)} time", False)] if times > 1 else []


def calm(waiting: int, free: int, longest: Agent | None, now: datetime) -> str:
    """The quiet line: below what waits, or instead of it."""
    first = "Nothing else is waiting for you." if waiting else "Nothing is waiting for you."
    if longest is None:
        return first
    alone = phrasing.age((now - longest.unattended_since).total_seconds())
    if free == 1:
        return f"{first} {longest.name} has run {alone} unattended."
    return f"{first} {free:,} agents run unattended, {longest.name} for {alone}."


def next_step(incident: Incident) -> str:
    """The one thing to do now, in the words of the button."""
    if incident.state == IncidentState.DECIDED:
        return "Start its process"
    if incident.state in (IncidentState.APPLIED, IncidentState.CLOSED):
        return "Read it"
    return NEXT.get(Cause(incident.cause), "Review and decide")


def figures(text: str) -> list[tuple[str, bool]]:
    """The text cut at its figures, so that they can stand out without a word of markup from the agent."""
    return [(part, n % 2 == 1) for n, part in enumerate(FIGURES.split(text)) if part]
