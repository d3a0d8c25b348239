"""Who may do what in a project: a role is changed, or taken. Sockets and long polls notice within seconds.

Nobody takes their own administration away, so that a project never loses its last one by a slip.
"""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from agents.access import Actor
from agents.announce import announce
from agents.models import Membership, Role
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
    _written(actor, "remove person", found, {"former": found.role}, now)
    return True


def _mine(actor: Actor, pk: int) -> Membership | None:
    rows = Membership.objects.select_for_update(of=("self",)).select_related("user")
    return rows.filter(pk=pk, project_id=actor.project_id).first()


def _not_oneself(actor: Actor, found: Membership) -> None:
    if actor.user is not None and found.user_id == actor.user.pk:
        raise Refused("Another administrator changes your own role: nobody locks themselves out by a slip.")


def _written(actor: Actor, verb: str, found: Membership, saw: dict[str, str], now: dt.datetime) -> None:
    announce(f"project-{actor.project_id}", int(now.timestamp() * 1000))
    audit.record(
        project_id=actor.project_id, actor=actor.name, verb=verb, object=f"person {found.user.email}",
        reason="", saw=saw, now=now,
    )  # fmt: skip
