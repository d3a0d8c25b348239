"""Somebody's own ways to be reached, best first; without one, the address they sign in with.

They are theirs alone: nobody else adds, changes, tests or removes one, whatever their role.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from agents.access import Actor
from agents.models import AlertTarget, User
from agents.services import channels, targets
from agents.services.targets import Refused

AT_MOST = 10


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


@transaction.atomic
def add_one(*, actor: Actor, kind: str, label: str, said: Mapping[str, str], now: dt.datetime) -> AlertTarget:
    """Another one, told after those that are there; the address that they sign in with stays one of them."""
    user = _person(actor)
    add([(actor.project_id, user)], now)
    there = _mine(actor, user).count()
    if there >= AT_MOST:
        raise Refused(f"{AT_MOST} ways are enough: remove one first.")
    made = _made(actor, user, kind, label, said, now)
    AlertTarget.objects.filter(pk=made.pk).update(position=there)
    return made


@transaction.atomic
def put_first(*, actor: Actor, pk: int) -> bool:
    """It is told before the others; False when it is not there."""
    found = list(_mine(actor, _person(actor)).select_for_update())
    if pk not in {one.pk for one in found}:
        return False
    for place, one in enumerate(sorted(found, key=lambda one: (one.pk != pk, one.position, one.pk))):
        AlertTarget.objects.filter(pk=one.pk).update(position=place)
    return True


def _made(
    actor: Actor, user: User, kind: str, label: str, said: Mapping[str, str], now: dt.datetime
) -> AlertTarget:
    try:
        with transaction.atomic():
            if kind in channels.CHANNELS:
                one = targets.add_channel(
                    actor=actor, kind=kind, label=label, said=said, now=now, person=user
                )
                assert one is not None  # a new one is always made
                return one
            return targets.add(
                actor=actor, kind=kind, label=label, address=said.get("address", ""), now=now, person=user
            ).target
    except IntegrityError as error:
        raise Refused("That is one of your ways already.") from error


def _mine(actor: Actor, user: User) -> QuerySet[AlertTarget]:
    return AlertTarget.objects.filter(project_id=actor.project_id, person=user).order_by("position", "pk")


def _person(actor: Actor) -> User:
    if actor.user is None:
        raise Refused("Only a person has ways to be reached.")
    return actor.user
