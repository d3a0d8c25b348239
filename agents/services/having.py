"""Who has an incident: given back, snoozed, given to somebody, spoken of. None of it moves its version.

`incidents.acknowledge` says "I have it"; here is the rest. Each is an act in the audit log.
"""

from __future__ import annotations

import datetime as dt
from typing import Literal

from django.db import transaction

from agents import announce
from agents.access import Actor, role_of
from agents.models import AlertTarget, Incident, IncidentState, Note, Outbox, User
from agents.queries.incidents import UNDECIDED
from agents.services import alerts, audit, escalating, outbox, own_ways
from agents.services.snapshots import text

AT_MOST = dt.timedelta(days=7)
SAID = {"un-acknowledge": "open again", "assign": "assigned"}
Had = Literal["done", "nothing_to_do", "not_found"]


class Refused(ValueError):
    """It cannot be said of this incident; the message says what to do instead."""


@transaction.atomic
def give_back(*, actor: Actor, incident_id: int, now: dt.datetime) -> Had:
    """Nobody has it: it is open, and its pages begin anew."""
    incident = _locked(actor, incident_id)
    if incident is None:
        return "not_found"
    taken = Incident.objects.filter(pk=incident.pk, state=IncidentState.ACKNOWLEDGED)
    if not taken.update(
        state=IncidentState.OPEN, acknowledged_at=None, acknowledged_by=None, snoozed_until=None
    ):
        return "nothing_to_do"
    escalating.restart(incident, now)
    _said(actor, incident, "un-acknowledge", "", {}, now)
    return "done"


@transaction.atomic
def snooze(*, actor: Actor, incident_id: int, until: dt.datetime, reason: str, now: dt.datetime) -> Had:
    """Keep it paused until then: whoever says so has it, and is asked again when the time is over."""
    if not now < until <= now + AT_MOST:
        raise Refused("Choose a time in the next seven days: after it the pages begin anew.")
    incident = _locked(actor, incident_id)
    if incident is None:
        return "not_found"
    waiting = Incident.objects.filter(pk=incident.pk, state__in=UNDECIDED)
    if not waiting.update(
        state=IncidentState.ACKNOWLEDGED,
        acknowledged_at=now,
        acknowledged_by=actor.user,
        snoozed_until=until,
    ):
        return "nothing_to_do"
    escalating.hold(incident, until, now)
    _said(actor, incident, "keep paused", reason, {"until": until.isoformat()}, now)
    return "done"


@transaction.atomic
def assign(*, actor: Actor, incident_id: int, to: User, reason: str, now: dt.datetime) -> Had:
    """Give it to somebody who may decide: they are told at once, by the way they chose."""
    if role_of(to, actor.project_id) in (None, "viewer"):
        raise Refused(f"{to} may not decide in this project: ask an administrator for the responder's role.")
    incident = _locked(actor, incident_id)
    if incident is None:
        return "not_found"
    waiting = Incident.objects.filter(pk=incident.pk, state__in=UNDECIDED).exclude(assigned_to=to)
    if not waiting.update(assigned_to=to):
        return "nothing_to_do"
    if actor.user != to:
        _tell(incident, to, f"{actor.name} gave it to {to}", now)
    _said(actor, incident, "assign", reason, {"to": to.email}, now)
    return "done"


@transaction.atomic
def note(*, actor: Actor, incident_id: int, words: str, now: dt.datetime) -> Note | None:
    """Something for whoever comes next; None when there is no such incident."""
    incident = _locked(actor, incident_id)
    if incident is None:
        return None
    written = Note.objects.create(incident=incident, by=actor.name, text=text(words, 2000), at=now)
    _said(actor, incident, "note", words, {}, now)
    return written


def _tell(incident: Incident, to: User, why: str, now: dt.datetime) -> None:
    ways = own_ways.of(to, incident.project_id, now)
    if ways:
        outbox.put(
            target=AlertTarget.objects.get(pk=ways[0]), about=Outbox.About.ASSIGNED, incident=incident,
            key=f"{incident.pk}-assigned-{int(now.timestamp() * 1000)}-{ways[0]}", now=now,
            why=text(why, 200), then=ways[1:],
        )  # fmt: skip


def _locked(actor: Actor, incident_id: int) -> Incident | None:
    rows = Incident.objects.select_for_update(of=("self",)).select_related("agent")
    return rows.filter(pk=incident_id, project_id=actor.project_id).first()


def _said(
    actor: Actor, incident: Incident, verb: str, reason: str, saw: dict[str, str], now: dt.datetime
) -> None:
    alerts.changed(incident, SAID.get(verb, verb), str(now.timestamp()), now)
    announce.announce(f"incident-{incident.pk}", incident.version)
    announce.changed_agent(incident.agent_id, incident.project_id)
    audit.record(
        project_id=incident.project_id, actor=actor.name, verb=verb, object=f"incident {incident.pk}",
        reason=reason, saw={"version": incident.version, **saw}, now=now,
    )  # fmt: skip
