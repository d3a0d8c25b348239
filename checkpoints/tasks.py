"""Alarm clocks of checkpoints."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from agents.models import Project
from checkpoints.services import retention, standing, watches


@shared_task  # type: ignore[untyped-decorator]
def settle() -> None:
    standing.settle(timezone.now())


@shared_task  # type: ignore[untyped-decorator]
def watch() -> None:
    watches.look(timezone.now())


@shared_task  # type: ignore[untyped-decorator]
def retain() -> None:
    for project in Project.objects.order_by("pk"):
        retention.retain(project, timezone.now())
