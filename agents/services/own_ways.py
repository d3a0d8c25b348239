"""Somebody's own ways to be reached, best first; without one, the address they sign in with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from django.db.models import QuerySet

from agents.models import AlertTarget, User


def of(user: User, project_id: int, now: dt.datetime) -> list[int]:
    """The targets that are on, best first; none when each was turned off."""
    mine = AlertTarget.objects.filter(person=user, project_id=project_id).order_by("position", "pk")
    found = mine if mine.exists() else add([(project_id, user)], now)
    return [target.pk for target in found if target.enabled]


def add(people: Sequence[tuple[int, User]], now: dt.datetime) -> QuerySet[AlertTarget]:
    """An e-mail way for each (project, person); of two that add the same at once one row is kept."""
    made = [
        AlertTarget(
            project_id=project_id, person=user, kind=AlertTarget.Kind.EMAIL, label=str(user)[:100],
            address=user.email, created_at=now,
        )
        for project_id, user in people
    ]  # fmt: skip
    AlertTarget.objects.bulk_create(made, ignore_conflicts=True)
    return AlertTarget.objects.filter(
        person__in=[user for _, user in people], project__in=[project_id for project_id, _ in people]
    )
