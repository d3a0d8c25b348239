"""What the fleet page's fragments show: one function a fragment, for the page, the refetch and the row.

Everything relative to `now` is worked out here; templates only arrange it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.safestring import SafeString

from agents import access
from agents.access import Actor
from agents.models import Agent, Incident, IncidentState, Instance, Project, RefusedRegistration, Status
from agents.queries import arrivals, budgets, fleet, incidents
from agents.queries.budgets import Spent
from agents.queries.fleet import Filter
from dashboard import marks
from dashboard.contexts import drawn, waiting
from dashboard.contexts.bars import hour_until
from dashboard.templatetags.ui import when

AGED = frozenset(fleet.WAITING) | {Status.HEALING, Status.IDLE}

HELD = {
    Status.PAUSED: "Waits for a decision on ",
    Status.STOPPED: "Stopped by the decision on ",
    Status.SILENT: "Not heard, see ",
    Status.BLOCKED: "Tries again and again, see ",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One agent in the table."""

    agent: Agent
    key: str
    instances: int
    since: datetime | None
    proven: str
    doing: list[tuple[str, bool]]
    gone_since: datetime | None
    incident: Incident | None
    waits: bool
    beat: datetime | None
    due_at: datetime | None
    bars: SafeString
    spent: Spent
    gauge: SafeString
    status: SafeString
    unattended_since: datetime | None


def whole(project: Project, asked: Filter, now: datetime, actor: Actor) -> dict[str, Any]:
    """The page: what waits, then the table."""
    unsettled = incidents.unsettled(project)
    found = [incident for incident in unsettled if incidents.waits(incident)]
    return {**waiting_list(project, now, found), **table(project, asked, now, actor, unsettled)}


def waiting_list(project: Project, now: datetime, found: list[Incident] | None = None) -> dict[str, Any]:
    """The incidents that wait for a human and, below or instead, how the others do."""
    found = incidents.waiting(project) if found is None else found
    free, longest = fleet.longest_unattended(project)
    refused = arrivals.refused(project, now)
    return {
        "project": project,
        "now": now,
        "waiting": [waiting.row(incident, now) for incident in found],
        "calm": waiting.calm(len(found), free, longest, now),
        "refused": refused,
        "waiting_mark": _waiting_mark(found, free, longest, refused),
        "topic": f"fleet-{project.pk}",
    }


def waiting_mark(project: Project, now: datetime) -> str:
    """What the waiting list is known by; cheaper than drawing it."""
    refused = arrivals.refused(project, now)
    return _waiting_mark(incidents.waiting(project), *fleet.longest_unattended(project), refused)


def table(
    project: Project, asked: Filter, now: datetime, actor: Actor, unsettled: list[Incident] | None = None
) -> dict[str, Any]:
    """Filters with their counts, and one page of rows."""
    counts = fleet.counts(project)
    listed = fleet.listed(project, asked, counts)
    held = held_by(incidents.unsettled(project) if unsettled is None else unsettled)
    asked = replace(asked, page=listed.page)
    order = [(agent.pk, str(agent.status)) for agent in listed.agents]
    return {
        "project": project,
        "now": now,
        "hour_ago": now - timedelta(hours=1),
        "asked": asked,
        "query": query(asked),
        "rows": [row(agent, held.get(agent.pk), now) for agent in listed.agents],
        "listed": listed,
        "total": sum(counts.values()),
        "chips": _chips(project, asked, counts),
        "sorts": list(fleet.SORTS.items()),
        "may_pause": access.can(actor, "pause", project),
        **_addresses(project),
        "table_mark": mark(project, asked, order, counts),
        "topic": f"fleet-{project.pk}",
        **_neighbours(project, asked, listed),
    }


def row(agent: Agent, incident: Incident | None, now: datetime) -> Row:
    """One agent; its status is its highest instance's, and so is what it is doing."""
    instances = agent.workers
    speaks = _speaker(agent, instances)
    held = agent.status in fleet.WAITING
    spent = budgets.of_agent(agent, instances, now)
    proven = _proven(speaks) if speaks and agent.status == Status.PROBATION else ""
    since = agent.status_since if agent.status in AGED else None
    return Row(
        agent=agent,
        key=str(agent.pk),
        instances=len(instances),
        since=since,
        proven=proven,
        doing=_doing(agent, speaks, incident),
        gone_since=speaks.gone_since if speaks and held and not speaks.live else None,
        incident=incident,
        waits=incident is not None and agent.status in HELD,
        beat=max((i.heartbeat.last_seen for i in instances if hasattr(i, "heartbeat")), default=None),
        due_at=agent.due_at if agent.status == Status.IDLE and agent.due_at and agent.due_at > now else None,
        bars=drawn.bars(hour_until(agent.bars, agent.bars_until, now)),
        spent=spent,
        gauge=drawn.gauge(spent),
        status=drawn.status(agent.status, when(since, "age", now) if since else proven),
        unattended_since=None if held else agent.unattended_since,
    )


def _doing(agent: Agent, speaks: Instance | None, incident: Incident | None) -> list[tuple[str, bool]]:
    """What it does, or what it waits for. Names of actions stand apart: (text, whether it is a name)."""
    doing = said(speaks.doing) if speaks and speaks.doing else []
    if agent.status == Status.PAUSING:
        return [("Finishes ", False), *doing] if doing else [("Finishes what it has begun", False)]
    if incident and incident.state == IncidentState.DECIDED and agent.status == Status.PAUSED:
        return [("Takes up the decision on ", False)]
    if incident and agent.status in HELD:
        return [(HELD[Status(agent.status)], False)]
    return [("Stopped by a decision", False)] if agent.status == Status.STOPPED else doing


def _proven(speaks: Instance) -> str:
    done = budgets.probation_done(speaks)
    return f"{done[0]} of {done[1]}" if done else ""


def said(doing: str) -> list[tuple[str, bool]]:
    """What an agent says it is doing, the name of its action (a word with `_`, `.` or `(`) apart."""
    first, space, rest = doing.partition(" ")
    named = first.replace("_", "").replace(".", "").isalnum() and ("_" in first or not rest)
    return [(first, True), (space + rest, False)] if named else [(doing, False)]


def one_row(
    project: Project, pk: int, incident: Incident | None, now: datetime, actor: Actor
) -> dict[str, Any] | None:
    """The context of one row's fragment; None when there is no such agent here."""
    agent = fleet.one(project, pk)
    if agent is None:
        return None
    may_pause = access.can(actor, "pause", project)
    shown = {"project": project, "now": now, "row": row(agent, incident, now), "may_pause": may_pause}
    return {**shown, **_addresses(project)}


def _addresses(project: Project) -> dict[str, str]:
    """Where rows, agents and incidents stand; a row appends its own, which are digits or a checked name."""
    return {
        "rows_at": reverse("fleet_agents", args=[project.name]),
        "agents_at": reverse("agent", args=[project.name, "x"]).removesuffix("x/"),
        "incidents_at": reverse("incidents", args=[project.name]),
    }


def held_by(unsettled: list[Incident]) -> dict[int, Incident]:
    """The incident that holds each agent; the one that opened first wins."""
    held: dict[int, Incident] = {}
    for incident in unsettled:
        for agent_id in {incident.agent_id, *(p.instance.agent_id for p in incident.pauses.all())}:
            held.setdefault(agent_id, incident)
    return held


def mark(project: Project, asked: Filter, order: list[tuple[int, str]], counts: dict[str, int]) -> str:
    """What a list is known by: who stands where, with what status."""
    return _short(project.pk, asked, order, counts)


def _waiting_mark(
    found: list[Incident], free: int, longest: Agent | None, refused: list[RefusedRegistration]
) -> str:
    said = [(i.pk, i.state, i.version, i.agent.version, i.agent.status) for i in found]
    return _short(said, free, longest and longest.pk, [(one.pk, one.times, one.why) for one in refused])


def _short(*said: object) -> str:
    return hashlib.blake2b(repr(said).encode(), digest_size=8).hexdigest()


def query(asked: Filter) -> str:
    """The filter as it stands in an address; what is at rest is left out."""
    rest = Filter()
    pairs = {
        "status": asked.status,
        "q": asked.text,
        "sort": asked.sort if asked.sort != rest.sort else "",
        "page": asked.page if asked.page > 1 else "",
    }
    return urlencode({key: value for key, value in pairs.items() if value})


def address(project: Project, asked: Filter) -> str:
    said = query(asked)
    return reverse("fleet", args=[project.name]) + (f"?{said}" if said else "")


def _neighbours(project: Project, asked: Filter, listed: fleet.Listed) -> dict[str, str]:
    """The addresses of the pages before and after, where there are any, and which rows these are."""
    before, after = replace(asked, page=asked.page - 1), replace(asked, page=asked.page + 1)
    first = (asked.page - 1) * fleet.PAGE + 1
    last = first + len(listed.agents) - 1
    return {
        "previous": address(project, before) if asked.page > 1 else "",
        "following": address(project, after) if asked.page < listed.pages else "",
        "which": f"{first:,} to {last:,} of {listed.total:,}" if listed.pages > 1 else "",
    }


def _chips(project: Project, asked: Filter, counts: dict[str, int]) -> list[dict[str, Any]]:
    """All, then each status that occurs, with how many there are."""
    shown = {"": sum(counts.values()), **counts}
    if asked.status:
        shown.setdefault(asked.status, 0)
    return [
        {
            "mark": marks.STATUS[status] if status else None,
            "count": count,
            "address": address(project, replace(asked, status=status, page=1)),
            "chosen": asked.status == status,
        }
        for status, count in shown.items()
    ]


def _speaker(agent: Agent, instances: list[Instance]) -> Instance | None:
    """The instance whose status is the agent's; of several the one that was heard of last."""
    same = [i for i in instances if i.status == agent.status] or instances
    return max(same, key=lambda i: (i.live, i.status_since), default=None)
