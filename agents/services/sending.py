"""Handing alerts over: claim a row, send, write the attempt.

    waiting ──claim──▶ claimed ──sent──▶ sent
       ▲                  │ └─failed──▶ waiting, later (and after many tries: given_up)
       └─── claim expires ┘

`due_at` is when to look at the row next: the next try of a waiting one, the end of a claim. A worker that
dies between claiming and sending leaves a claim that expires; the row is claimed again, and its receiver
can tell a repeat by the message's id. Nothing is sent inside a transaction.

A process sends to one target at a time, and to a few at once: a receiver that hangs holds up its own
messages and no others, and never the worker's other work. Whoever claims a row while more are due rings for
the next thread first.
"""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Callable, Collection

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.smtp import EmailBackend
from django.db import transaction
from django.db.models import QuerySet, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from agents.announce import announce, changed_agent
from agents.failpoint import failpoint
from agents.models import AlertTarget, Attempt, Outbox
from agents.services import broken, cards, channels, outbox, targets, webhooks
from agents.services.snapshots import text

CLAIM = dt.timedelta(seconds=30)
AT_ONCE = 8
AT_MOST = dt.timedelta(seconds=30)
DAILY_TRIES = 3
BACK_OFF = (5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 3600, 3600)
DUE = (Outbox.State.WAITING, Outbox.State.CLAIMED)

Clock = Callable[[], dt.datetime]


choosing, sending_to = threading.Lock(), set[int]()


def send_due(clock: Clock = timezone.now) -> int:
    """Send what is due, one row after the other, until there is no more or half a minute has passed."""
    started, sent = clock(), 0
    while clock() - started < AT_MOST:
        claimed = _claim_and_ring(clock())
        if claimed is None:
            return sent
        try:
            failpoint("alerts:claimed")
            sent += send(claimed, clock)
        finally:
            sending_to.discard(claimed.outbox.target_id)
    return sent


def _claim_and_ring(now: dt.datetime) -> Attempt | None:
    """One that this process may send to now; its target is taken until it was sent to."""
    with choosing:
        claimed = claim(now, but=sending_to) if len(sending_to) < AT_ONCE else None
        if claimed is not None:
            sending_to.add(claimed.outbox.target_id)
        more = claimed is not None and _due(now, sending_to).exists()
    if more:
        outbox.wake()
    return claimed


@transaction.atomic
def claim(now: dt.datetime, *, but: Collection[int] = ()) -> Attempt | None:
    """Take the row that has been due longest; other workers skip it until the claim expires."""
    row = _due(now, but).select_for_update(skip_locked=True).first()
    if row is None:
        return None
    Attempt.objects.filter(outbox=row, outcome=Attempt.Outcome.CLAIMED).update(
        outcome=Attempt.Outcome.FAILED, why="the worker died while it was sending", ended_at=now
    )
    row.state, row.claimed_at, row.due_at = Outbox.State.CLAIMED, now, now + CLAIM
    row.attempts += 1
    row.save(update_fields=["state", "claimed_at", "due_at", "attempts"])
    return Attempt.objects.create(outbox=row, at=now)


def _due(now: dt.datetime, but: Collection[int]) -> QuerySet[Outbox]:
    due = Outbox.objects.filter(state__in=DUE, due_at__lte=now).exclude(target__in=list(but))
    return due.order_by("due_at", "pk")


def send(attempt: Attempt, clock: Clock) -> bool:
    """Hand one claimed row over and write down what came of it."""
    row = Outbox.objects.select_related(
        "target__project", "incident__agent", "incident__group", "incident__project"
    ).get(pk=attempt.outbox_id)
    try:
        if row.target.kind == AlertTarget.Kind.EMAIL:
            _mail(row)
        elif row.target.kind == AlertTarget.Kind.WEBHOOK:
            _call(row, clock())
        else:
            _channel(row)
    except webhooks.NotSent as error:
        _failed(attempt, row, str(error), clock())
        return False
    failpoint("alerts:handed")
    _sent(attempt, row, clock())
    return True


def _mail(row: Outbox) -> None:
    if not settings.EMAIL_HOST:
        raise webhooks.NotSent("no mail server is configured: set SICKBAY_SMTP_URL")
    backend = EmailBackend(timeout=int(webhooks.LIMIT_S / 2))
    message = EmailMessage(
        cards.subject(row),
        cards.body(row),
        to=[row.target.address],
        headers={"Auto-Submitted": "auto-generated", "X-Sickbay-Message": f"msg_{row.pk}"},
        connection=backend,
    )
    try:
        with webhooks.cut_off(lambda: [getattr(backend.connection, "sock", None)]):
            message.send()
    except (OSError, ValueError) as error:  # smtplib's errors are OSErrors; their words may quote the server.
        raise webhooks.NotSent(f"the mail server did not take it ({type(error).__name__})") from error


def _call(row: Outbox, now: dt.datetime) -> None:
    secret = targets.decrypt(row.target)
    if secret is None:
        raise webhooks.NotSent("its secret cannot be read: change the address or add it again")
    body = json.dumps(cards.payload(row, now), separators=(",", ":")).encode()
    webhooks.deliver(webhooks.Call(row.target.address, f"msg_{row.pk}", int(now.timestamp()), body, secret))


def _channel(row: Outbox) -> None:
    kept = targets.decrypt(row.target)
    if kept is None:
        raise webhooks.NotSent("what it needs cannot be read: change it, and fill in all of it")
    asked = channels.request(row.target.kind, kept, cards.message(row))
    if asked is not None:
        body = json.dumps(asked.body, separators=(",", ":")).encode()
        webhooks.post(asked.url, body, dict(asked.headers))


@transaction.atomic
def _sent(attempt: Attempt, row: Outbox, now: dt.datetime) -> None:
    Attempt.objects.filter(pk=attempt.pk).update(outcome=Attempt.Outcome.SENT, why="", ended_at=now)
    Outbox.objects.filter(pk=row.pk, state__in=DUE).update(state=Outbox.State.SENT)
    AlertTarget.objects.filter(pk=row.target_id).update(heard_at=now, failed_at=None, failed_why="")
    _announced(row)


@transaction.atomic
def _failed(attempt: Attempt, row: Outbox, why: str, now: dt.datetime) -> None:
    """Later again, unless another worker has the row by now, or it was tried often enough; and, at the first
    failure, by the next way there is."""
    Attempt.objects.filter(pk=attempt.pk).update(
        outcome=Attempt.Outcome.FAILED, why=text(why, 300), ended_at=now
    )
    mine = Outbox.objects.filter(pk=row.pk, state=Outbox.State.CLAIMED, claimed_at=attempt.at)
    if _is_given_up(row):
        if mine.update(state=Outbox.State.GIVEN_UP) and row.about == Outbox.About.DAILY:
            broken.tell_of_channel(row, why, now)
    else:
        later = now + dt.timedelta(seconds=BACK_OFF[row.attempts - 1])
        if mine.update(state=Outbox.State.WAITING, due_at=later):
            _by_another_way(row, now)
    if row.about != Outbox.About.TEST:  # Whoever ordered a test looks at what becomes of it.
        fails = AlertTarget.objects.filter(pk=row.target_id)
        fails.update(failed_at=Coalesce("failed_at", Value(now)), failed_why=text(why, 300))
    _announced(row)


def _is_given_up(row: Outbox) -> bool:
    if row.about == Outbox.About.DAILY:
        return row.attempts >= DAILY_TRIES
    return row.attempts > len(BACK_OFF) or row.about == Outbox.About.TEST


def _by_another_way(row: Outbox, now: dt.datetime) -> None:
    """The first target left that is on, and was not told by the same step (its keys begin alike)."""
    step = "-".join(row.key.split("-")[:3])
    told = Outbox.objects.filter(incident=row.incident, key__startswith=f"{step}-").values("target")
    left = AlertTarget.objects.filter(pk__in=row.then, enabled=True).exclude(pk__in=told).in_bulk()
    order = [pk for pk in row.then if pk in left]
    if row.attempts > 1 or not order:
        return
    why = text(f"{row.target.label} was not reached" + (f": {row.why}" if row.why else ""), 200)
    outbox.put(
        target=left[order[0]], about=row.about, key=f"{row.key}-then-{order[0]}"[:100], now=now,
        incident=row.incident, why=why, then=order[1:],
    )  # fmt: skip


def _announced(row: Outbox) -> None:
    """The incident's sentence has changed, not what its decider was shown; the alerts page has a receipt."""
    announce(f"project-{row.target.project_id}", int(timezone.now().timestamp() * 1000))
    if row.incident is not None:
        changed_agent(row.incident.agent_id, row.incident.project_id, standing=False)
