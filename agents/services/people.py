"""Who may do what in a project: a role is changed, or taken. Sockets and long polls notice within seconds.

Nobody takes their own administration away, and it is looked at again under the lock of the project's
administrators: of two who remove each other at once one is first, and the other administers no more. Whoever
leaves is on duty here no more.
"""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from agents.access import Actor
from agents.announce import announce
from agents.models import Membership, Override, Role, Team, Turn
from agents.services import audit


class Refused(ValueError):
    """It stays as it is; the message says why."""


@transaction.atomic
def set_role(*, actor: Actor, pk: int, role: Role, now: dt.datetime) -> bool:
    """Whether it changed; False too when the membership is not there, or another project's."""
    found = _mine(actor, pk)
    if found is None or found.role == role:
        return False
    _not_oneself(actor, found)
    former = found.role
    Membership.objects.filter(pk=pk).update(role=role)
    _written(actor, "set role", found, {"role": str(role), "former": former}, now)
    return True


@transaction.atomic
def remove(*, actor: Actor, pk: int, now: dt.datetime) -> bool:
    """They see nothing of the project from now on; their account, and other projects, stay."""
    found = _mine(actor, pk)
    if found is None:
        return False
    _not_oneself(actor, found)
    found.delete()
    Turn.objects.filter(schedule__project_id=actor.project_id, user=found.user_id).delete()
    Override.objects.filter(schedule__project_id=actor.project_id, user=found.user_id).delete()
    found.user.teams.remove(*Team.objects.filter(project_id=actor.project_id))
    _written(actor, "remove person", found, {"former": found.role}, now)
    return True


def _mine(actor: Actor, pk: int) -> Membership | None:
    """Locked, after every administrator of the project, in order."""
    rows = Membership.objects.select_for_update(of=("self",)).filter(project_id=actor.project_id)
    administrators = {one.user_id for one in rows.filter(role=Role.ADMIN).order_by("pk")}
    found = rows.select_related("user").filter(pk=pk).first()
    user = actor.user
    if user is not None and not user.is_superuser and user.pk not in administrators:
        raise Refused("You administer this project no more: somebody changed your role a moment ago.")
    return found


def _not_oneself(actor: Actor, found: Membership) -> None:
    if actor.user is not None and found.user_id == actor.user.pk:
        raise Refused("Another administrator changes your own role: nobody locks themselves out by a slip.")


def _written(actor: Actor, verb: str, found: Membership, saw: dict[str, str], now: dt.datetime) -> None:
    announce(f"project-{actor.project_id}", int(now.timestamp() * 1000))
    audit.record(
        project_id=actor.project_id, actor=actor.name, verb=verb, object=f"person {found.user.email}",
        reason="", saw=saw, now=now,
    )  # fmt: skip
