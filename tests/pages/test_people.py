"""The people page: who is let in, by whom, as what; and nobody locks themselves out."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from agents.models import AuditEntry, Membership, Project, Role, User
from tests.conftest import member
from tests.pages.states import HOSTILE

pytestmark = pytest.mark.django_db
PAGE = "/p/main/people/"


@pytest.fixture
def admin(project: Project) -> User:
    return member(project, "ada@example.com", "Ada", Role.ADMIN)


@pytest.fixture
def client(client: Client, admin: User) -> Client:
    client.force_login(admin)
    return client


def test_somebody_is_let_in_by_a_link_that_is_shown_once(client: Client, project: Project) -> None:
    """The link is in the answer and nowhere else; taken up it lets them in with that role."""
    answer = client.post(f"{PAGE}invite/", {"email": "Dora@example.com", "role": "responder"})
    found = re.search(r"http://testserver(/welcome/[^<\s]+/)", answer.content.decode())
    assert found and found[1] not in client.get(PAGE).content.decode()
    assert Membership.objects.get(user__email="dora@example.com").role == "responder"
    assert AuditEntry.objects.get(verb="invite").actor == "ada@example.com"
    assert Client().get(found[1]).status_code == 200


@pytest.mark.parametrize(
    ("email", "role", "said"),
    [
        ("nobody", "viewer", "like dora@example.com"),
        ("x@example.com", "king", "Choose a role"),
        ("", "", "Choose"),
    ],
)
def test_what_cannot_be_is_refused(email: str, role: str, said: str, client: Client) -> None:
    """Nobody is let in, what was typed stands there, and the sentence says what to write."""
    answer = client.post(f"{PAGE}invite/", {"email": email, "role": role})
    assert answer.status_code == 422 and said in answer.content.decode()
    assert Membership.objects.count() == 1


def test_a_role_is_changed_and_taken(client: Client, project: Project, bob: User) -> None:
    """Each is written down with what it was before."""
    pk = Membership.objects.get(user=bob).pk
    client.post(f"{PAGE}{pk}/role/", {"role": "operator"})
    assert Membership.objects.get(pk=pk).role == "operator"
    client.post(f"{PAGE}{pk}/remove/")
    assert not Membership.objects.filter(pk=pk).exists() and User.objects.filter(pk=bob.pk).exists()
    assert [one.saw["former"] for one in AuditEntry.objects.order_by("pk")] == ["viewer", "operator"]


def test_nobody_locks_themselves_out(client: Client, admin: User) -> None:
    """One's own role is another administrator's to change."""
    pk = Membership.objects.get(user=admin).pk
    client.post(f"{PAGE}{pk}/role/", {"role": "viewer"})
    answer = client.post(f"{PAGE}{pk}/remove/", follow=True)
    assert Membership.objects.get(pk=pk).role == "admin"
    assert "locks themselves out" in answer.content.decode()


def test_another_projects_people_are_not_there(client: Client, charlie: User) -> None:
    """Neither shown, nor changed, nor removed."""
    pk = Membership.objects.get(user=charlie).pk
    assert charlie.email not in client.get(PAGE).content.decode()
    assert client.post(f"{PAGE}{pk}/remove/").status_code == 404
    former = Membership.objects.get(pk=pk).role
    client.post(f"{PAGE}{pk}/role/", {"role": "viewer" if former == "admin" else "admin"})
    assert Membership.objects.get(pk=pk).role == former


def test_a_name_is_text(client: Client, bob: User) -> None:
    """Whatever somebody calls themselves."""
    User.objects.filter(pk=bob.pk).update(name=HOSTILE[:100])
    assert "<img src=x" not in client.get(PAGE).content.decode()


def test_who_does_not_administer_sees_no_forms(project: Project, alice: User) -> None:
    """An operator reads who is there, and lets nobody in."""
    client = Client()
    client.force_login(alice)
    page = client.get(PAGE).content.decode()
    assert "alice@example.com" in page and "Let somebody in" not in page
    assert client.post(f"{PAGE}invite/", {"email": "x@example.com", "role": "admin"}).status_code == 403


def test_queries_do_not_grow_with_people(client: Client, project: Project) -> None:
    """Twenty people are read like two."""
    counted = []
    for n in range(2):
        for m in range(1 + 19 * n):
            member(project, f"p{n}{m}@example.com", f"P {n} {m}", Role.VIEWER)
        with CaptureQueriesContext(connection) as queries:
            client.get(PAGE)
        counted.append(len(queries))
    assert counted[0] == counted[1]
