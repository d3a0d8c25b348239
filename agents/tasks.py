"""Alarm clocks: each task reads the time once and calls a service; the rows know what there is to do."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from agents.services import approvals, broken, escalating, minutes, partitions, sending, trials, watchdog


@shared_task  # type: ignore[untyped-decorator]
def send_alerts() -> None:
    sending.send_due()


@shared_task  # type: ignore[untyped-decorator]
def test_channels() -> None:
    broken.put_daily(timezone.now())


@shared_task  # type: ignore[untyped-decorator]
def look() -> None:
    watchdog.look(timezone.now())


@shared_task  # type: ignore[untyped-decorator]
def follow_up() -> None:
    approvals.lapse(timezone.now())
    trials.look(timezone.now())


@shared_task  # type: ignore[untyped-decorator]
def escalate() -> None:
    escalating.run_due(timezone.now())


@shared_task  # type: ignore[untyped-decorator]
def close_minute() -> None:
    minutes.close(timezone.now())


@shared_task  # type: ignore[untyped-decorator]
def ensure_partitions() -> None:
    partitions.ensure(timezone.now())
