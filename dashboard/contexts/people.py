"""The people page: who is let in, as what, how they sign in, and a form that lets somebody in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from allauth.mfa.models import Authenticator
from django.db.models import Exists, OuterRef

from agents import access
from agents.access import Actor
from agents.models import AlertTarget, Membership, Project, Role, User
from agents.queries import targets

ROLES = (
    (Role.VIEWER, "viewer: looks"),
    (Role.RESPONDER, "responder: acknowledges, pauses, decides"),
    (Role.OPERATOR, "operator: tokens, alerts, on call, policies, too"),
    (Role.ADMIN, "admin: people, too"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """`membership` is None for who administers every project."""

    user: User
    role: str
    membership: Membership | None
    has_second_factor: bool
    is_invited: bool
    is_you: bool
    told_by: str = ""  # for who administers


def page(
    project: Project, actor: Actor, now: datetime, *, link: str = "", invited: str = "", error: str = "",
    typed: str = "",
) -> dict[str, Any]:  # fmt: skip
    """`link`: a new one, shown this once; `error`: why somebody was not let in."""
    may = access.can(actor, "people", project)
    return {
        "project": project,
        "now": now,
        "rows": _with_ways(_rows(project, actor), project) if may else _rows(project, actor),
        "roles": ROLES,
        "may_change": may,
        "link": link,
        "invited": invited,
        "error": error,
        "typed": typed,
        "topic": f"project-{project.pk}",
    }


def _with_ways(rows: list[Row], project: Project) -> list[Row]:
    """By what kinds of ways each is told: that there are any, and nothing of where they lead."""
    words, found = dict(AlertTarget.Kind.choices), targets.kinds_of_people(project.pk)
    kinds = {pk: dict.fromkeys(str(words[one]) for one in ways) for pk, ways in found.items()}
    return [replace(row, told_by=", ".join(kinds.get(row.user.pk, ["Email"]))) for row in rows]


def _rows(project: Project, actor: Actor) -> list[Row]:
    second = Exists(Authenticator.objects.filter(user=OuterRef("user")))
    members = Membership.objects.filter(project=project).select_related("user").annotate(second=second)
    found = [_row(one.user, one.role, one, one.second, actor) for one in members.order_by("user__email")]
    above = User.objects.filter(is_superuser=True, is_active=True).order_by("email")
    second = Exists(Authenticator.objects.filter(user=OuterRef("pk")))
    listed = {row.user.pk for row in found}
    return found + [
        _row(one, "admin of every project", None, one.second, actor)
        for one in above.annotate(second=second)
        if one.pk not in listed and (one.has_usable_password() or one.last_login)
    ]


def _row(user: User, role: str, membership: Membership | None, second: bool, actor: Actor) -> Row:
    is_you = actor.user is not None and actor.user.pk == user.pk
    return Row(
        user, role, membership, second, user.last_login is None and not user.has_usable_password(), is_you
    )
