"""Who is let in: an address gets a role in a project, and whoever has none yet a link that works once.

A person who signs in already needs no link; their role is the one said last. Who administers every project
has no role in one.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.contrib.auth.hashers import make_password
from django.db import transaction

from agents.models import Membership, Project, Role, User
from agents.services import audit, sign_in_links


@dataclass(frozen=True)
class Invited:
    """`secret` is the link's, None for a person who signs in already; `former` the role they had here."""

    secret: str | None
    former: str | None


class NotInvited(ValueError):
    """The message says why."""


@transaction.atomic
def invite(*, email: str, role: Role, project: Project, by: str, now: dt.datetime) -> Invited:
    user, _ = User.objects.get_or_create(
        email=email.lower(), defaults={"password": make_password(None), "created_at": now}
    )
    if not user.is_active:
        raise NotInvited(f"{user.email} was let in before, and is switched off.")
    if user.is_superuser:
        raise NotInvited(f"{user.email} administers every project already.")
    former = Membership.objects.filter(user=user, project=project).values_list("role", flat=True).first()
    Membership.objects.update_or_create(user=user, project=project, defaults={"role": role})
    comes_in = user.has_usable_password() or user.last_login is not None
    secret = None if comes_in else sign_in_links.issue(user=user, now=now)
    audit.record(
        project_id=project.pk,
        actor=by,
        verb="invite",
        object=f"person {user.email}",
        reason="",
        saw={"role": str(role), "former": former},
        now=now,
    )
    return Invited(secret, former)
