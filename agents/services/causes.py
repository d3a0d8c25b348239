"""What a pause that an agent brings is about: the sickness that spent its budget, and the incident of it.

The failure's event may have arrived, or may be on its way behind a backlog: a pause made offline comes first.
The pause then says itself what failed, so that agents with one sickness share one incident either way.
"""

from __future__ import annotations

import datetime as dt
import uuid

from agents.models import Agent, Cause, Entry, FailureGroup, Incident, Instance
from agents.services import failures, incidents
from agents.services.snapshots import PauseSaid, text


def incident_of(agent: Agent, instance: Instance, said: PauseSaid, now: dt.datetime) -> Incident:
    """A new incident, or the one that another agent's like failure has opened a moment ago."""
    group = _group(agent, said.failure) or _group_by_what(agent, said, now)
    what = group.title if group else text(said.cause, 200) or "it paused itself"
    cause = {"detector": Cause.DETECTOR, "human": Cause.HUMAN}.get(said.owner, Cause.BUDGET)
    cause = Cause.QUESTION if said.asks and said.owner == "human" else cause
    return incidents.open_or_join(
        agent=agent,
        instances=[instance],
        cause=cause,
        title=what,
        now=now,
        group_id=group.pk if group else None,
        failure=text(said.failure, 60),
    )


def _group(agent: Agent, failure: str | None) -> FailureGroup | None:
    """The group of the failure that spent the budget, if its event has arrived."""
    run, _, seq = (failure or "").partition("-")
    try:
        key = uuid.UUID(run), int(seq)
    except ValueError:
        return None
    if not 0 < key[1] < 2**63:
        return None
    groups = Entry.objects.filter(run_id=key[0], seq=key[1], agent_id=agent.pk).values_list(
        "group_id", flat=True
    )
    group_id = next(iter(groups[:1]), None)
    if group_id is None:
        return None
    return FailureGroup.objects.filter(pk=group_id, project_id=agent.project_id).first()


def _group_by_what(agent: Agent, said: PauseSaid, now: dt.datetime) -> FailureGroup | None:
    """The group of a failure whose event is still on its way: a pause made offline arrives before it."""
    what = said.what
    if what is None or said.owner != "budget":
        return None
    seen = failures.FailureSeen(
        seq=0, name=what.name, failure=what.failure, exception=what.exception, message=what.message,
        fingerprint=what.fingerprint, at=now,
    )  # fmt: skip
    return FailureGroup.objects.get(pk=failures.group_of(agent.project_id, seen))
