"""Whether alerting itself works: daily tests of channels, and whom to tell where something is broken.

A channel whose daily test fails three times is broken: another one is told, and every page says so in red.
"""

from __future__ import annotations

import datetime as dt

from django.db.models import F

from agents.models import AlertTarget, Outbox
from agents.services import outbox
from agents.services.snapshots import text

PARTS = {
    "worker": "the worker is not felt: alerts go out late until it runs again",
    "valkey": "Valkey does not answer: alerts go out late until it does",
}


def put_daily(now: dt.datetime) -> int:
    """The tests of today whose hour has come; each once, however often this looks."""
    today = now.astimezone(dt.UTC)
    wanted = AlertTarget.objects.filter(enabled=True, daily_hour__lte=today.hour).in_bulk()
    keys = {f"daily-{pk}-{today:%Y-%m-%d}": target for pk, target in wanted.items()}
    known = set(Outbox.objects.filter(key__in=keys).values_list("key", flat=True))
    rows = [
        outbox.put(target=target, about=Outbox.About.DAILY, key=key, now=now)
        for key, target in keys.items()
        if key not in known
    ]
    return sum(row is not None for row in rows)


def tell_of_part(part: str, now: dt.datetime) -> int:
    """Every channel of every project, once an hour."""
    hour = now.astimezone(dt.UTC).strftime("%Y-%m-%dT%H")
    told = [
        outbox.put(
            target=target, about=Outbox.About.BROKEN, key=f"broken-{part}-{hour}-{target.pk}", now=now,
            why=PARTS[part],
        )
        for target in AlertTarget.objects.filter(enabled=True, person=None)
    ]  # fmt: skip
    return sum(row is not None for row in told)


def tell_of_channel(row: Outbox, why: str, now: dt.datetime) -> Outbox | None:
    """The daily test of a channel failed: the first other one that is on is told, and takes it from there."""
    others = AlertTarget.objects.filter(project=row.target.project_id, enabled=True, person=None)
    healthy_first = F("failed_at").asc(nulls_first=True)
    then = list(others.exclude(pk=row.target_id).order_by(healthy_first, "pk").values_list("pk", flat=True))
    if not then:
        return None
    said = text(f"the channel {row.target.label} does not take its daily test: {why}", 200)
    return outbox.put(
        target=AlertTarget.objects.get(pk=then[0]), about=Outbox.About.BROKEN, now=now, why=said,
        key=f"broken-{row.pk}-{then[0]}", then=then[1:],
    )  # fmt: skip
