"""Who is told what: outbox rows for an incident's targets, and what came of them.

Alerts fail open: a row is put in the transaction that opens the incident, and stays until it was handed
over or given up. A message about the same moment of the same incident has one key, so it is put once.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from django.db.models import Max, Prefetch, Q, QuerySet

from agents.models import Agent, AlertTarget, Attempt, Escalation, Incident, Outbox
from agents.services import channels, escalating, outbox

WHAT: dict[str, str] = {
    AlertTarget.Kind.EMAIL: "e-mail",
    AlertTarget.Kind.WEBHOOK: "webhook",
    **{kind: one.title for kind, one in channels.CHANNELS.items()},
}
RESOLVING = [kind for kind, one in channels.CHANNELS.items() if one.resolves]
AGAIN: dict[str, str] = {
    Outbox.About.AGAIN: ", again,",
    Outbox.About.UNSEEN: ", again,",
    Outbox.About.JOINED: ", of more agents,",
    Outbox.About.ASSIGNED: ", as theirs,",
}
JOINS_EVERY = dt.timedelta(minutes=1)


@dataclass(frozen=True)
class Handed:
    """What became of one message to one target: the sentence ends with `at`, where there is one."""

    state: Literal["sent", "failed", "waiting"]
    sentence: str
    at: dt.datetime | None = None

    def __str__(self) -> str:
        return f"{self.sentence} {self.at:%H:%M:%S}" if self.at else self.sentence


@dataclass(frozen=True)
class Told:
    """What the incident says about its alerts: `nobody` is drawn in red, and so is each that failed."""

    state: Literal["told", "waiting", "nobody"]
    summary: str
    handed: list[Handed]

    @property
    def sentence(self) -> str:
        said = "; ".join(str(one) for one in self.handed if one.state != "waiting" or self.state == "told")
        return ": ".join(part for part in (self.summary, said) if part)


def opened(incident: Incident, now: dt.datetime) -> int:
    return escalating.begin(incident, now)


def again(incident: Incident, moment: str, now: dt.datetime) -> int:
    """Page once more, for the moment that this names (a decision that nobody took up)."""
    return _put(incident, Outbox.About.AGAIN, f"{incident.pk}-again-{moment}", now)


def joined(incident: Incident, agent: Agent, now: dt.datetime) -> int:
    """Another agent is held by the same cause. Cards name every agent when they are sent, so one that waits
    names this one too; else a new one is due a minute after the last. The caller holds the incident's lock.

    The row that waits is locked: a worker claims it, and reads the names, before this commits or after.
    """
    of_it = Outbox.objects.filter(incident=incident, about__in=(Outbox.About.OPENED, Outbox.About.JOINED))
    waiting = of_it.filter(state=Outbox.State.WAITING).select_for_update()
    covered = set(waiting.values_list("target_id", flat=True))
    last = of_it.aggregate(last=Max("claimed_at"))["last"]
    due = max(now, last + JOINS_EVERY) if last else now
    return _put(incident, Outbox.About.JOINED, f"{incident.pk}-joined-{agent.pk}", now, due=due, but=covered)


def closed(incident: Incident, now: dt.datetime) -> int:
    """It ended by itself: whoever was told, or is about to be, is told that as well."""
    return _put(incident, Outbox.About.CLOSED, f"{incident.pk}-closed", now)


def resolved(incident: Incident, now: dt.datetime) -> int:
    """It was decided: channels that keep an alert open until they hear so are told; nobody else is."""
    told = AlertTarget.objects.filter(outbox__incident=incident, enabled=True, kind__in=RESOLVING).distinct()
    rows = [
        outbox.put(
            target=target, about=Outbox.About.RESOLVED, incident=incident, now=now,
            key=f"{incident.pk}-resolved-{incident.decisions.count()}-{target.pk}",
        )
        for target in told
    ]  # fmt: skip
    return sum(row is not None for row in rows)


def changed(incident: Incident, what: str, moment: str, now: dt.datetime) -> int:
    """What became of it, for webhooks that asked for everything; `moment` makes it one message."""
    listening = AlertTarget.objects.filter(
        project_id=incident.project_id, enabled=True, changes=True, kind=AlertTarget.Kind.WEBHOOK
    )
    rows = [
        outbox.put(
            target=target, about=Outbox.About.CHANGED, incident=incident, now=now, why=what[:200],
            key=f"{incident.pk}-{what}-{moment}-{target.pk}"[:100],
        )
        for target in listening
    ]  # fmt: skip
    return sum(row is not None for row in rows)


def told(incident: Incident) -> Told:
    """For each target what it was handed and when, or why not; `nobody` only while no message arrived."""
    over = (Outbox.About.CLOSED, Outbox.About.RESOLVED, Outbox.About.CHANGED)
    rows = Outbox.objects.filter(incident=incident).exclude(about__in=over)
    rows = rows.select_related("target").defer("target__secret").order_by("target_id", "pk")
    found = list(rows.prefetch_related(Prefetch("tries", Attempt.objects.order_by("pk"))))
    kinds = Counter(kind for kind, _ in {(row.target.kind, row.target_id) for row in found})
    handed = [_handed(row, alone=kinds[row.target.kind] == 1) for row in found]
    states = {one.state for one in handed}
    if "sent" in states:
        return Told("told", "", handed)
    if states == {"waiting"}:
        return Told("waiting", "an alert is on its way", handed)
    return Told("nobody", "nobody has been told", handed)


def _handed(row: Outbox, *, alone: bool) -> Handed:
    what = WHAT[row.target.kind] + ("" if alone else f" {row.target.label}") + AGAIN.get(row.about, "")
    tries = list(row.tries.all())
    failed = [one for one in tries if one.outcome == Attempt.Outcome.FAILED]
    if row.state == Outbox.State.SENT and tries:
        return Handed("sent", f"{what} handed over", tries[-1].ended_at)
    if not failed:
        return Handed("waiting", f"{what} is on its way")
    times = "once" if len(failed) == 1 else f"{len(failed)} times"
    why = f"{what} failed: {failed[-1].why.removeprefix('it ')}, tried {times}"
    if row.state == Outbox.State.GIVEN_UP:
        return Handed("failed", f"{why}, given up", failed[-1].ended_at)
    if row.state == Outbox.State.CLAIMED:
        return Handed("failed", f"{why}, being tried again")
    return Handed("failed", f"{why}, next try", row.due_at)


def _put(
    incident: Incident,
    about: Outbox.About,
    moment: str,
    now: dt.datetime,
    *,
    due: dt.datetime | None = None,
    but: Iterable[int] = (),
) -> int:
    targets = _told_of(incident).order_by("pk")
    rows = [
        outbox.put(
            target=target, about=about, key=f"{moment}-{target.pk}", now=now, incident=incident, due=due
        )
        for target in targets.exclude(pk__in=list(but))
    ]
    return sum(row is not None for row in rows)


def _told_of(incident: Incident) -> QuerySet[AlertTarget]:
    """Whoever was told of it, or is about to be; where no policy says whom, every channel as well."""
    pages = Outbox.objects.filter(incident=incident).exclude(about=Outbox.About.CHANGED)
    reached = Q(pk__in=pages.values("target"))
    if not Escalation.objects.filter(incident=incident).exclude(policy="").exists():
        reached |= Q(person=None)
    found = AlertTarget.objects.filter(project_id=incident.project_id, enabled=True)
    return found.filter(pk__in=AlertTarget.objects.filter(reached).values("pk"))
