"""Who may do what: one question, `can(actor, verb, object)`, asked by every face before it calls a service.

Each role may do what the one before it may. A token has a scope instead of a role: `agent` sends events,
`operator` does what a responder does. Nobody reaches into another project, whatever the role.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from agents.models import Membership, Project, Role, Scope, Token, User

VIEWER = frozenset({"view"})
RESPONDER = VIEWER | {"acknowledge", "pause", "decide"}
OPERATOR = RESPONDER | {"tokens", "targets", "policy"}
ADMIN = OPERATOR | {"operator_tokens", "people", "guard"}

BY_ROLE: dict[str, frozenset[str]] = {
    Role.VIEWER: VIEWER,
    Role.RESPONDER: RESPONDER,
    Role.OPERATOR: OPERATOR,
    Role.ADMIN: ADMIN,
}
BY_SCOPE: dict[str, frozenset[str]] = {Scope.AGENT: frozenset({"send"}), Scope.OPERATOR: RESPONDER}


@dataclass(frozen=True)
class Actor:
    """Whoever acts, within one project; `name` is what the audit log keeps.

    `person_id` is who signed in, or who made the token. `proven`: they have just shown anew that it is them.
    """

    kind: Literal["person", "token", "automation"]
    name: str
    project_id: int
    user: User | None = None
    role: str | None = None
    scope: str | None = None
    person_id: int | None = None
    proven: bool = False


def person(user: User, project: Project) -> Actor | None:
    """The signed-in person as an actor in this project; None when it is not theirs to see."""
    role = role_of(user, project.pk)
    if role is None:
        return None
    return Actor("person", user.email, project.pk, user=user, role=role, person_id=user.pk)


def program(token: Token) -> Actor:
    name = f"token {token.label or token.public_id}"
    return Actor("token", name, token.project_id, scope=token.scope, person_id=token.created_by_id)


def automation(name: str, project_id: int) -> Actor:
    """The product itself; it may look, and its own verbs are its services'."""
    return Actor("automation", name, project_id)


def role_of(user: User, project_id: int) -> str | None:
    if not user.is_active:
        return None
    if user.is_superuser:
        return Role.ADMIN
    return Membership.objects.filter(user=user, project_id=project_id).values_list("role", flat=True).first()


def decides(user: User | None, project_id: int) -> bool:
    """Whether this person may decide now, whatever they might when a page was drawn."""
    return user is not None and "decide" in BY_ROLE.get(role_of(user, project_id) or "", frozenset())


def can(actor: Actor, verb: str, object: Any = None) -> bool:
    """Whether the actor may; an object of another project is never theirs."""
    if object is not None and project_of(object) != actor.project_id:
        return False
    if actor.kind == "person":
        return verb in BY_ROLE.get(actor.role or "", frozenset())
    if actor.kind == "token":
        return verb in BY_SCOPE.get(actor.scope or "", frozenset())
    return verb in VIEWER


def project_of(object: Any) -> int | None:
    """The project that an agent, incident, instance, token, target … belongs to."""
    if isinstance(object, Project):
        return object.pk
    if hasattr(object, "project_id"):
        found: int | None = object.project_id
        return found
    for owner in ("agent", "incident", "instance"):
        if hasattr(object, owner):
            return project_of(getattr(object, owner))
    return None
