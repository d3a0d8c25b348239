"""Who has come: the agent whose first event has arrived since a moment, by the server's clock."""

from __future__ import annotations

from datetime import datetime, timedelta

from agents.models import Agent, Entry, Project, RefusedRegistration

LOOKED_AT = 20
REMEMBERED = timedelta(days=1)


def refused(project: Project, now: datetime) -> list[RefusedRegistration]:
    """Who tried to register within a day and was not let in, the newest first."""
    return list(project.refused_registrations.filter(last_at__gt=now - REMEMBERED).order_by("-last_at", "pk"))


def first_since(project: Project, since: datetime) -> Agent | None:
    """The agent that was heard of last, if something of it has arrived since."""
    heard = project.agents.filter(instances__heartbeat__last_seen__gte=since)
    for agent in heard.order_by("-instances__heartbeat__last_seen")[:5]:
        newest = Entry.objects.filter(agent_id=agent.pk).order_by("-at", "-id")
        if any(at >= since for at in newest.values_list("received_at", flat=True)[:LOOKED_AT]):
            return agent
    return None
