"""*Wrong since here*: what it will do, before it is pressed, and what was done."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from agents import access
from agents.access import Actor
from agents.models import Agent
from checkpoints import foreseen
from checkpoints.foreseen import Foreseen, Place
from checkpoints.services.reports import Reported
from dashboard import phrasing
from dashboard.contexts import standings


def address(project: str, agent: str, named: str) -> str:
    """The page that asks, for an entry or a checkpoint."""
    return f"{reverse('agent_wrong', args=[project, agent])}?{urlencode({'since': named})}"


def asked(agent: Agent, place: Place, named: str, actor: Actor, now: datetime) -> dict[str, Any]:
    """What the dialog and the page show."""
    found = foreseen.foresee(agent, place)
    good = found.last_known_good
    return {
        "project": agent.project,
        "agent": agent,
        "now": now,
        "place": place,
        "action": address(agent.project.name, agent.name, named),
        "may_decide": access.can(actor, "decide", agent),
        "pauses": _pauses(found),
        "condemns": _condemns(found),
        "good": standings.Named(good) if good else None,
        "effects": _effects(found),
        "is_day_old": place.since.date() != now.date(),
    }


def sentence(agent: Agent, done: Reported) -> str:
    """What was done, for the message on the incident's page."""
    pauses = f"{agent.name} is told to pause" if done.ordered.paused else f"{agent.name} was held already"
    bad = phrasing.some(done.condemned, "checkpoint is", "checkpoints are")
    return f"{pauses}; {bad} called bad." if done.condemned else f"{pauses}; no checkpoint was taken since."


def _pauses(found: Foreseen) -> str:
    held = ", ".join(str(pk) for pk in found.held)
    if found.held and not found.runs + found.still:
        return f"It is held already: this is added to incident {held}."
    if not found.runs:
        return "Pauses it. No process runs: the pause meets its next start."
    return "Pauses it. The action that runs now ends; no other begins until somebody decides."


def _condemns(found: Foreseen) -> str:
    if not found.condemned:
        return "No checkpoint was taken from there on."
    if found.condemned == 1:
        return "Calls 1 checkpoint bad, the one from there on."
    return f"Calls {found.condemned:,} checkpoints bad, all from there on."


def _effects(found: Foreseen) -> str:
    """The worklist's length; nothing takes an effect back."""
    if not found.effects:
        return "Nothing reached the outside world since."
    there = phrasing.some(found.effects, "effect since is", "effects since are")
    return f"{there} to be looked at: what reached the outside world stays done."
