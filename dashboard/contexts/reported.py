"""What humans said of an incident: wrong since when, why, and who said so."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from agents.models import Incident
from checkpoints import queries

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Reported:
    """One report. `href` leads to the entry or the checkpoint that was pointed at."""

    since: datetime
    at: datetime
    by: str
    reason: str
    agent: str
    instance: str
    word: str
    href: str


def reports(incident: Incident) -> list[Reported]:
    """The earliest moment first."""
    project = incident.project.name
    return [
        Reported(
            since=one.since,
            at=one.at,
            by=one.by,
            reason=one.reason,
            agent=one.agent.name if one.agent_id != incident.agent_id else "",
            instance=one.instance.name if one.instance and one.instance.name != "main" else "",
            word="checkpoint" if _is_checkpoint(one.named) else "entry",
            href=_href(project, one.agent.name, one.named),
        )
        for one in queries.reports_of(incident)[:SHOWN]
    ]


def _href(project: str, agent: str, named: str) -> str:
    if _is_checkpoint(named):
        return f"{reverse('agent_checkpoints', args=[project, agent])}?open={named}"
    return f"{reverse('agent', args=[project, agent])}?entry={named}"


def _is_checkpoint(named: str) -> bool:
    """The server's own entries are UUIDs too, of version 7; a checkpoint's is chosen by the agent."""
    try:
        return uuid.UUID(named).version != 7
    except ValueError:
        return False
