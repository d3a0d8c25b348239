"""Holding the tool: whether it is offered, who holds it, how many calls wait, and where it cannot be held."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from agents import access
from agents.access import Actor
from agents.models import Agent, Incident, IncidentState, Instance, ToolHold
from agents.services import holds

REASONS = [
    ("known bug", "Known bug"),
    ("broken outside", "Broken outside"),
    ("does harm", "Does harm"),
    ("change ahead", "Change ahead"),
]
LIFT_REASONS = [
    ("fixed outside", "Fixed outside"),
    ("false alarm", "False alarm"),
    ("try once more", "Try once more"),
    ("held by mistake", "Held by mistake"),
]
NAMED = 8


def shown(incident: Incident, instances: list[Instance], actor: Actor, now: datetime) -> dict[str, Any]:
    """`instances` are those that the incident is about."""
    tool = holds.tool_of(incident)
    agents = {instance.agent_id: instance.agent for instance in instances}
    agents.setdefault(incident.agent_id, incident.agent)
    standing = [held for held in holds.standing(incident.project_id) if tool and held.tool == tool]
    own = [held for held in standing if held.incident_id == incident.pk]
    others = [held for held in standing if held not in own and _covers(held, agents.values())]
    held = next(iter([*own, *others]), None)
    may = access.can(actor, "pause", incident)
    return {
        "held": held,
        "hold_tool": tool if held or (may and incident.state != IncidentState.CLOSED) else "",
        "hold_where": _where(held) if held else "",
        "hold_reasons": LIFT_REASONS if held else REASONS,
        "hold_agents": _named(sorted(agent.name for agent in agents.values())),
        "may_hold": may,
        **(_waiting(held) if held else {}),
    }


def over(agent: Agent) -> list[ToolHold]:
    """What is held for this agent, as its page says it."""
    return holds.over(agent, holds.standing(agent.project_id))


def _covers(held: ToolHold, agents: Any) -> bool:
    return any(holds.over(agent, [held]) for agent in agents)


def _where(held: ToolHold) -> str:
    if held.everywhere:
        return f"every agent of {held.project.name}, those to come included"
    return _named(sorted(agent.name for agent in held.agents.all()))


def _waiting(held: ToolHold) -> dict[str, Any]:
    """From what the agents said last of themselves."""
    found = Instance.objects.filter(agent__project_id=held.project_id, live=True).select_related("agent")
    if not held.everywhere:
        found = found.filter(agent__in=[agent.pk for agent in held.agents.all()])
    living = list(found.order_by("agent__name", "name"))
    too_old = sorted({each.agent.name for each in living if each.held_calls is None})
    return {
        "hold_calls": sum((each.held_calls or {}).get(held.tool, 0) for each in living),
        "hold_not_in": _named(too_old),
    }


def _named(names: list[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
