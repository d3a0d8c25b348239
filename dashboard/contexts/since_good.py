"""What changed since the last known good checkpoint: a line of the incident's card for each agent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from agents.models import Agent, Incident, Instance
from checkpoints import compared
from checkpoints.models import Checkpoint
from dashboard.contexts import changed, history, standings

MOST = 6


@dataclass(frozen=True, slots=True)
class SinceGood:
    """`first`: a value that changed, its name, before and after, where one says much in little room."""

    good: Checkpoint
    words: str
    undoes: str
    first: tuple[str, str, str]
    href: str

    @property
    def standing(self) -> str:
        return standings.standing(self.good)


@dataclass(frozen=True, slots=True)
class Back:
    """One of several agents that wait: what it goes back to, if it has anything good to go back to."""

    agent: Agent
    since: SinceGood | None


def of_each(incident: Incident, instances: list[Instance], waiting: set[int], now: datetime) -> list[Back]:
    """Each agent that waits, when they are several; of many the first ones."""
    agents = {one.agent_id: one.agent for one in instances if one.agent_id in waiting}
    if len(agents) < 2:
        return []
    return [
        Back(agent, since_good(incident, agent, instances, now)) for agent in list(agents.values())[:MOST]
    ]


def since_good(
    incident: Incident, agent: Agent, instances: list[Instance], now: datetime
) -> SinceGood | None:
    """Nothing when there is no good checkpoint to go back to."""
    own = [instance.pk for instance in instances if instance.agent_id == agent.pk]
    until = incident.decided_at or incident.closed_at or now
    found = compared.since_good(incident, agent, own[0] if len(own) == 1 else None, until)
    if found is None:
        return None
    good, newest = found
    if good.pk == newest.pk:
        return SinceGood(good, "no checkpoint since", "", ("", "", ""), "")
    (summary,) = compared.summaries(incident.project_id, [found])
    href = history.address(incident.project.name, good, newest)
    words = changed.words(summary)
    undoes = {
        changed.NOTHING: "Nothing has changed since.",
        changed.DAMAGED: "What changed since cannot be shown: damaged.",
    }
    return SinceGood(good, words, undoes.get(words, f"Undoes {words}."), changed.first(summary), href)
