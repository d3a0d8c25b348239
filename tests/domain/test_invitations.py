"""Invitations: a role in a project, and a link for whoever does not sign in yet."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.test import Client

from agents.models import AuditEntry, Membership, Project, Role, User
from agents.services import invitations, sign_in_links
from agents.services.invitations import Invited

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)


def invited(project: Project, email: str = "Dora@example.com", role: Role = Role.RESPONDER) -> Invited:
    return invitations.invite(email=email, role=role, project=project, by="root@box", now=NOW)


def test_the_link_lets_the_person_in_with_that_role(project: Project, client: Client) -> None:
    """Who takes the link up signs in with a password of their own, and has that role there alone."""
    secret = invited(project).secret
    assert secret is not None
    link = sign_in_links.find(secret, NOW)
    assert link is not None
    assert sign_in_links.take_up(link=link, email=link.user.email, password="correct horse", now=NOW)
    assert client.login(email="dora@example.com", password="correct horse")
    assert list(Membership.objects.values_list("project__name", "role")) == [("main", "responder")]
    assert not User.objects.get().is_superuser


def test_without_the_link_nobody_comes_in(project: Project) -> None:
    """An invited person has no password until the link is taken up."""
    invited(project)
    assert not User.objects.get().has_usable_password()


def test_who_signs_in_already_gets_the_role_alone(project: Project, bob: User) -> None:
    """No link is made for a person who has a password; the log says what the role was before."""
    done = invited(project, bob.email, Role.OPERATOR)
    assert done == Invited(secret=None, former="viewer")
    assert bob.memberships.get().role == Role.OPERATOR
    assert AuditEntry.objects.get().saw == {"role": "operator", "former": "viewer"}


def test_an_invitation_sent_again_ends_the_older_link(project: Project) -> None:
    """Only the newest link works, and the person is one."""
    first, second = invited(project).secret, invited(project, "dora@EXAMPLE.com").secret
    assert first and second
    assert sign_in_links.find(first, NOW) is None and sign_in_links.find(second, NOW)
    assert User.objects.count() == 1


def test_who_was_switched_off_stays_out(project: Project, bob: User) -> None:
    """An invitation does not let in again whom somebody put out."""
    User.objects.update(is_active=False)
    with pytest.raises(invitations.NotInvited, match="switched off"):
        invited(project, bob.email)


def test_an_administrator_of_everything_needs_no_role(project: Project) -> None:
    """A role in one project would say less than what is so."""
    User.objects.create_superuser("root@example.com", "a long enough one")
    with pytest.raises(invitations.NotInvited, match="every project"):
        invited(project, "root@example.com")


def test_the_only_administrator_is_found(db: None) -> None:
    """`signin` without an address means one person or nobody."""
    assert sign_in_links.only_administrator() is None
    first = User.objects.create_superuser("a@example.com", "a long enough one")
    assert sign_in_links.only_administrator() == first
    User.objects.create_superuser("b@example.com", "a long enough one")
    assert sign_in_links.only_administrator() is None
