"""Who may do what: roles, scopes, projects."""

from __future__ import annotations

import itertools

import pytest

from agents import access
from agents.models import Project, Role, Scope, User
from agents.services import tokens
from tests.conftest import member
from tests.domain import cast
from tests.domain.cast import NOW

pytestmark = pytest.mark.django_db
VERBS = ["view", "acknowledge", "pause", "decide", "tokens", "targets", "operator_tokens", "people", "send"]
ALLOWED = {
    "viewer": ["view"],
    "responder": ["view", "acknowledge", "pause", "decide"],
    "operator": ["view", "acknowledge", "pause", "decide", "tokens", "targets"],
    "admin": ["view", "acknowledge", "pause", "decide", "tokens", "targets", "operator_tokens", "people"],
}


@pytest.mark.parametrize(("role", "verb"), list(itertools.product(ALLOWED, VERBS)))
def test_each_role_may_exactly_this(project: Project, role: str, verb: str) -> None:
    """A role may do what the one before it may, and what is written here."""
    user = member(project, "x@example.com", "X", Role(role))
    assert access.can(cast.actor(user, project), verb) is (verb in ALLOWED[role])


@pytest.mark.parametrize("verb", VERBS)
def test_each_scope_may_exactly_this(project: Project, verb: str) -> None:
    """An agent's token sends and nothing else; an operator's acts as a responder."""
    for scope, allowed in ((Scope.AGENT, ["send"]), (Scope.OPERATOR, ALLOWED["responder"])):
        token = tokens.make(project=project, scope=scope, label="x", by="tests", now=NOW).token
        assert access.can(access.program(token), verb) is (verb in allowed)


def test_nobody_reaches_into_another_project(project: Project, charlie: User) -> None:
    """Charlie administers elsewhere, and is nobody here."""
    elsewhere = Project.objects.get(name="elsewhere")
    instance = cast.worker(project)
    pause = cast.spends_its_budget(instance)
    assert access.person(charlie, project) is None
    actor = cast.actor(charlie, elsewhere)
    for object in (project, instance.agent, instance, pause, pause.incident):
        assert not access.can(actor, "view", object)
    assert access.can(actor, "view", elsewhere)


def test_who_was_disabled_may_nothing(project: Project, alice: User) -> None:
    """A person who is not active is no actor; an administrator of the server is one everywhere."""
    alice.is_active = False
    assert access.person(alice, project) is None
    root = User.objects.create_superuser("root@example.com")
    assert access.can(cast.actor(root, project), "people")


def test_the_product_itself_only_looks(project: Project) -> None:
    """Automation decides nothing for humans."""
    actor = access.automation("watchdog", project.pk)
    assert [verb for verb in VERBS if access.can(actor, verb)] == ["view"]
