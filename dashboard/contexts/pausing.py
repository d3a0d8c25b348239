"""Pausing agents by hand: what it does to each, before it is pressed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms

from agents.models import Agent, Project, Status
from dashboard.contexts import fleet
from dashboard.contexts.decision import PAUSE_REASONS

HELD = frozenset({Status.PAUSING, Status.PAUSED, Status.STOPPED})


def whole(
    project: Project, agents: list[Agent], now: datetime, form: forms.Form | None = None
) -> dict[str, Any]:
    return {
        "project": project,
        "now": now,
        "rows": [{"row": fleet.row(agent, None, now), "does": does(agent)} for agent in agents],
        "reasons": PAUSE_REASONS,
        "chosen": form.data.get("reason", "") if form else "",
        "note": form.data.get("note", "") if form else "",
        "errors": {name: errors[0] for name, errors in form.errors.items()} if form else {},
    }


def does(agent: Agent) -> str:
    """What the order means for one agent."""
    live = any(instance.live for instance in agent.workers)
    if agent.status in HELD:
        return "Is held already and stays so."
    if not live:
        return "No process runs: the pause meets its next start."
    return "Finishes the action it is in, then holds still until someone decides."


def sentence(agents: list[Agent], opened: int) -> str:
    """What was done, for the message on the next page."""
    if not opened:
        return "Nothing to pause: they were held already."
    return f"{agents[0].name} is pausing." if len(agents) == 1 else f"Pausing {opened} agents."
