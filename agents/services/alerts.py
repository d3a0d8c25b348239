"""Who is told what: outbox rows for every enabled target of the incident's project, and what came of them.

Alerts fail open: a row is put in the transaction that opens the incident, and stays until it was handed
over or given up. A message about the same moment of the same incident has one key, so it is put once.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from agents.models import AlertTarget, Attempt, Incident, Outbox
from agents.services import outbox


@dataclass(frozen=True)
class Told:
    """What the incident says about its alerts: `nobody` is drawn in red."""

    state: Literal["told", "waiting", "nobody"]
    sentence: str
    at: dt.datetime | None = None


def opened(incident: Incident, now: dt.datetime) -> int:
    return _put(incident, Outbox.About.OPENED, f"{incident.pk}-opened", now)


def again(incident: Incident, moment: str, now: dt.datetime) -> int:
    """Page once more, for the moment that this names (a decision that nobody took up)."""
    return _put(incident, Outbox.About.AGAIN, f"{incident.pk}-again-{moment}", now)


def closed(incident: Incident, now: dt.datetime) -> int:
    """It ended by itself: whoever was told, or is about to be, is told that as well."""
    return _put(incident, Outbox.About.CLOSED, f"{incident.pk}-closed", now)


def told(incident: Incident) -> Told:
    """The sentence on the incident: who was handed it first and when, or that nobody has been told."""
    sent = (
        Attempt.objects.filter(outbox__incident=incident, outcome=Attempt.Outcome.SENT)
        .exclude(outbox__about=Outbox.About.CLOSED)
        .select_related("outbox__target")
        .order_by("ended_at")
        .first()
    )
    if sent is not None and sent.ended_at is not None:
        what = "e-mail" if sent.outbox.target.kind == AlertTarget.Kind.EMAIL else "webhook"
        return Told("told", f"{what} handed over {sent.ended_at:%H:%M:%S}", sent.ended_at)
    rows = Outbox.objects.filter(incident=incident).exclude(about=Outbox.About.CLOSED)
    states = set(rows.values_list("state", flat=True))
    if states & {Outbox.State.WAITING, Outbox.State.CLAIMED}:
        failed = Attempt.objects.filter(outbox__incident=incident, outcome=Attempt.Outcome.FAILED).exists()
        why = (
            "nobody has been told yet: an alert failed and is tried again"
            if failed
            else "an alert is on its way"
        )
        return Told("nobody" if failed else "waiting", why)
    return Told("nobody", "nobody has been told")


def _put(incident: Incident, about: Outbox.About, moment: str, now: dt.datetime) -> int:
    targets = AlertTarget.objects.filter(project_id=incident.project_id, enabled=True).order_by("pk")
    rows = [
        outbox.put(target=target, about=about, key=f"{moment}-{target.pk}", now=now, incident=incident)
        for target in targets
    ]
    return sum(row is not None for row in rows)
