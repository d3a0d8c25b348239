"""Incidents: opened with their first cause, shared by like causes, closed when nothing waits any more.

    open → acknowledged → decided → applied → closed

*decided*: every pause of it has a decision. *applied*: every decision was obeyed. *closed*: nobody is on
probation because of it any more. An incident about silence, a missed start, a blockage, or effects that may
have happened closes by itself.
Each move is a conditional update under the incident's row lock; its `version` goes up only when what a
decider was shown changes. Lock order: instances, incident, agents, project, audit.
"""

from __future__ import annotations

import datetime as dt
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from agents import announce
from agents.access import Actor
from agents.models import Agent, Cause, Incident, IncidentState, Instance, Kind, Pause, PauseState, Status
from agents.queries.incidents import UNDECIDED
from agents.services import alerts, audit, entries, escalating, rows
from agents.services.snapshots import text

SHARED_WITHIN = dt.timedelta(minutes=10)
CONCERNING = """
SELECT i.id FROM agents_incident i JOIN agents_incident_instances l ON l.incident_id = i.id
WHERE l.instance_id = %s AND i.state = ANY(%s) ORDER BY i.id
"""
HOLDING = (PauseState.PAUSING, PauseState.PAUSED, PauseState.DECIDED)
BY_ITSELF = (Cause.SILENCE, Cause.MISSED, Cause.BLOCKED, Cause.EFFECT)


@dataclass(frozen=True)
class Acknowledged:
    name: Literal["acknowledged", "already", "not_found"]
    incident: Incident | None = None


def open_or_join(
    *,
    agent: Agent,
    instances: Iterable[Instance],
    cause: str,
    title: str,
    now: dt.datetime,
    group_id: int | None = None,
    failure: str = "",
) -> Incident:
    """A new incident with its alerts, or the undecided one of the last ten minutes with the same cause."""
    title = text(title, 300)
    shared = _shared(agent, cause, group_id, title, now)
    if shared is not None:
        known = shared.instances.filter(agent=agent).exists()
        shared.instances.add(*instances)
        if not known:
            alerts.joined(shared, agent, now)
        bump(shared.pk)
        return shared
    incident = Incident.objects.create(
        project_id=agent.project_id,
        agent=agent,
        cause=cause,
        title=title,
        group_id=group_id,
        failure=failure[:60],
        opened_at=now,
    )
    incident.instances.add(*instances)
    alerts.opened(incident, now)
    announce.announce(f"incident-{incident.pk}", incident.version)
    return incident


def bump(incident_id: int) -> int:
    """What a decider is shown has changed."""
    Incident.objects.filter(pk=incident_id).update(version=F("version") + 1)
    version = version_of(incident_id)
    announce.announce(f"incident-{incident_id}", version)
    return version


def version_of(incident_id: int) -> int:
    return Incident.objects.values_list("version", flat=True).get(pk=incident_id)


def failure_counted(agent_id: int, now: dt.datetime) -> None:
    """A counted failure of this agent changes what the deciders of its incidents are shown."""
    concerned = Incident.objects.filter(state__in=UNDECIDED).filter(
        Q(agent_id=agent_id) | Q(instances__agent_id=agent_id)
    )
    for pk in sorted(set(concerned.values_list("pk", flat=True))):
        bump(pk)


@transaction.atomic
def acknowledge(*, actor: Actor, incident_id: int, now: dt.datetime) -> Acknowledged:
    """Someone has it; the version stays."""
    incident = Incident.objects.filter(pk=incident_id, project_id=actor.project_id).first()
    if incident is None:
        return Acknowledged("not_found")
    moved = Incident.objects.filter(pk=incident_id, state=IncidentState.OPEN).update(
        state=IncidentState.ACKNOWLEDGED, acknowledged_at=now, acknowledged_by=actor.user
    )
    incident.refresh_from_db()
    if not moved:
        return Acknowledged("already", incident)
    escalating.hold(incident, None, now)
    alerts.changed(incident, "acknowledged", str(now.timestamp()), now)
    announce.announce(f"incident-{incident_id}", incident.version)
    announce.changed_agent(incident.agent_id, incident.project_id)
    audit.record(
        project_id=incident.project_id,
        actor=actor.name,
        verb="acknowledge",
        object=f"incident {incident.pk}",
        reason="",
        saw={"version": incident.version},
        now=now,
    )
    return Acknowledged("acknowledged", incident)


def settle(incident_id: int, now: dt.datetime) -> None:
    """A pause of it was settled: applied when none waits any more, and closed when none is on probation."""
    bump(incident_id)
    if Pause.objects.filter(incident_id=incident_id, state__in=HOLDING).exists():
        return
    moved = Incident.objects.filter(pk=incident_id, state=IncidentState.DECIDED)
    if moved.update(state=IncidentState.APPLIED):
        close_applied(now, incident_id=incident_id)


def wait_again(incident: Incident, now: dt.datetime) -> None:
    """A pause of it waits for a decision again: what was decided was taken back, or could not be done."""
    if Pause.objects.filter(incident=incident, state__in=(PauseState.PAUSING, PauseState.PAUSED)).exists():
        again = IncidentState.ACKNOWLEDGED if incident.acknowledged_at else IncidentState.OPEN
        decided = Incident.objects.filter(pk=incident.pk, state=IncidentState.DECIDED)
        if decided.update(state=again, decided_at=None):
            escalating.wait_again(incident, now)
    bump(incident.pk)


def close_applied(now: dt.datetime, *, incident_id: int | None = None) -> int:
    """Applied incidents whose agents have proven themselves are closed."""
    applied = Incident.objects.filter(state=IncidentState.APPLIED)
    if incident_id is not None:
        applied = applied.filter(pk=incident_id)
    closed = 0
    for incident in applied.filter(~Exists(_proving())):
        rows = Incident.objects.filter(pk=incident.pk, state=IncidentState.APPLIED)
        if rows.update(state=IncidentState.CLOSED, closed_at=now):
            closed += 1
            alerts.changed(incident, "closed", "", now)
            announce.announce(f"incident-{incident.pk}", incident.version)
    return closed


def _proving() -> QuerySet[Pause]:
    """Lifted pauses of the incident whose process is on probation, or has not yet said that it goes on."""
    held = Pause.objects.filter(instance=OuterRef("instance"), state__in=HOLDING)
    not_yet = (Status.PROBATION, Status.PAUSED, Status.PAUSING)
    return Pause.objects.filter(
        ~Exists(held),
        incident=OuterRef("pk"),
        state=PauseState.LIFTED,
        instance__live=True,
        instance__status__in=not_yet,
    )


def close_by_itself(incident: Incident, sentence: str, now: dt.datetime) -> bool:
    """What it was about has ended without anyone; the timeline says so, and whoever was told is told."""
    rows = Incident.objects.filter(pk=incident.pk, cause__in=BY_ITSELF, state__in=UNDECIDED)
    if not rows.update(state=IncidentState.CLOSED, closed_at=now):
        return False
    bump(incident.pk)
    entries.write(
        project_id=incident.project_id,
        agent_id=incident.agent_id,
        instance_id=None,
        at=now,
        kind=Kind.SIGNAL,
        name=incident.cause,
        outcome="closed",
        title=sentence,
        ref=str(incident.pk),
        body={"incident": incident.pk},
        now=now,
    )
    alerts.closed(incident, now)
    alerts.changed(incident, "closed", "", now)
    announce.changed_agent(incident.agent_id, incident.project_id)
    return True


def concerning(instance: Instance) -> QuerySet[Incident]:
    """The undecided incidents that this instance is part of."""
    return Incident.objects.filter(state__in=UNDECIDED, instances=instance)


def asking_concerning(instance: Instance) -> rows.Statement:
    """Their keys, in order."""
    return CONCERNING, [instance.pk, [str(state) for state in UNDECIDED]]


def _shared(agent: Agent, cause: str, group_id: int | None, title: str, now: dt.datetime) -> Incident | None:
    """The incident to join, locked. Two agents that fall ill at once wait for each other here."""
    if cause == Cause.BUDGET and group_id is not None:
        same = Q(group_id=group_id)
    elif cause == Cause.BLOCKED:
        same = Q(title=title)
    else:
        return None
    one_at_a_time(f"{agent.project_id}/{cause}/{group_id or title}")
    alike = Incident.objects.filter(
        same,
        project_id=agent.project_id,
        cause=cause,
        state__in=UNDECIDED,
        opened_at__gt=now - SHARED_WITHIN,
    )
    return alike.select_for_update().order_by("opened_at").first()


def one_at_a_time(subject: str) -> None:
    """An advisory lock: it stands outside the order of row locks, and is held until the commit."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [0x5B, zlib.crc32(subject.encode()) - 2**31])
