"""*Wrong since here*: for the morning after, when nothing failed and everything was wrong.

the agent is paused, an incident says since when ─▶ checkpoints from there on are bad
                                                 ─▶ last known good is before, effects since are the worklist
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.db import transaction

from agents import announce
from agents.access import Actor
from agents.models import Agent, Cause, Incident, Instance, Kind, Pause
from agents.services import audit, entries, incidents, pauses
from agents.services.snapshots import text
from checkpoints import queries
from checkpoints.foreseen import Place as Place
from checkpoints.foreseen import place_of as place_of
from checkpoints.models import Checkpoint, Report
from checkpoints.services import standing


@dataclass(frozen=True)
class Reported:
    incidents: list[Incident]
    ordered: pauses.Ordered
    since: dt.datetime
    condemned: int
    last_known_good: Checkpoint | None


@transaction.atomic
def wrong_since(
    *, actor: Actor, agent: Agent, place: Place, named: str, reason: str, now: dt.datetime
) -> Reported:
    """Pause it, say since when, and condemn what was taken from there on."""
    ordered = pauses.order(
        actor=actor,
        agent=agent,
        reason=reason,
        now=now,
        cause=Cause.REPORTED,
        title=f"Wrong since {place.since:%d %b %H:%M:%S} UTC: {reason}",
    )
    concerned = _concerned(agent, ordered)
    instance = Instance.objects.filter(pk=place.instance_id or 0).first()
    for incident in concerned:
        Report.objects.create(
            agent=agent, incident=incident, instance=instance, since=place.since, named=text(named, 60),
            by=text(actor.name, 200), reason=text(reason, 500), at=now,
        )  # fmt: skip
    condemned = _condemn(actor, agent, place, reason, now)
    for incident in concerned:
        incidents.bump(incident.pk)
    _tell(actor, agent, place, named, reason, condemned, concerned, now)
    good = queries.last_known_good(agent.pk, before=place.since, instance_id=place.instance_id)
    return Reported(concerned, ordered, place.since, condemned, good)


def _concerned(agent: Agent, ordered: pauses.Ordered) -> list[Incident]:
    """The incident that was opened, and those that held an instance before."""
    held = Pause.objects.filter(instance__agent=agent, state__in=pauses.HOLDING)
    ids = set(held.values_list("incident_id", flat=True))
    if ordered.incident is not None:
        ids.add(ordered.incident.pk)
    return list(Incident.objects.select_for_update(of=("self",)).filter(pk__in=ids).order_by("pk"))


def _condemn(actor: Actor, agent: Agent, place: Place, reason: str, now: dt.datetime) -> int:
    rows = Checkpoint.objects.filter(agent=agent, at__gte=place.since)
    if place.instance_id is not None:
        rows = rows.filter(instance_id=place.instance_id)
    ids = list(rows.values_list("pk", flat=True))
    return standing.condemn(
        ids=ids, agent_id=agent.pk, by=actor.name, reason=f"reported as wrong: {reason}", now=now
    )


def _tell(
    actor: Actor,
    agent: Agent,
    place: Place,
    named: str,
    reason: str,
    condemned: int,
    concerned: list[Incident],
    now: dt.datetime,
) -> None:
    first = concerned[0].pk if concerned else None
    entries.write(
        project_id=agent.project_id,
        agent_id=agent.pk,
        instance_id=place.instance_id,
        at=now,
        kind=Kind.VERDICT,
        name="wrong since here",
        outcome="reported",
        title=f"{actor.name}: wrong since “{place.words}” at {place.since:%H:%M:%S} UTC: {reason}",
        ref=named,
        body={"since": place.since, "by": actor.name, "condemned": condemned, "incident": first},
        now=now,
    )
    announce.changed_agent(agent.pk, agent.project_id)
    audit.record(
        project_id=agent.project_id,
        actor=actor.name,
        verb="report as wrong",
        object=f"agent {agent.name}",
        reason=reason,
        saw={"since": place.since.isoformat(), "named": named, "condemned": condemned, "incident": first},
        now=now,
    )
