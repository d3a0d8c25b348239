"""Tokens: shown once, kept as a hash, ended for good, and only by those who may."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from agents.models import AuditEntry, Membership, Project, Role, Scope, Token, User
from agents.services import tokens

PAGE = "/p/main/tokens/"
MAKE = PAGE + "make/"
TEXT = re.compile(r"sb_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}")
FORM = {"label": "refund-desk", "scope": "agent", "lasts": "90"}


@pytest.fixture
def client(alice: User) -> Client:
    return signed_in(alice)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def token(project: Project, label: str = "one") -> Token:
    return tokens.make(project=project, scope=Scope.AGENT, label=label, by="alice", now=timezone.now()).token


def test_shown_once(client: Client, project: Project) -> None:
    """The answer to the form has the token, it works, and no later page has it."""
    response = client.post(MAKE, FORM)
    found = TEXT.search(response.content.decode())
    assert found and tokens.find(found[0], timezone.now()) is not None
    assert "no-store" in response["Cache-Control"]
    for path in (PAGE, "/p/main/audit/"):
        assert found[0].rpartition("_")[2] not in client.get(path).content.decode()


def test_only_its_hash_is_kept(client: Client) -> None:
    """The secret stands in no column of the table, in no session and in no act of the log."""
    secret = TEXT.search(client.post(MAKE, FORM).content.decode())[0].rpartition("_")[2]  # type: ignore[index]
    kept = repr(Token.objects.values()) + repr(AuditEntry.objects.values()) + repr(dict(client.session))
    assert secret not in kept and secret.encode() not in bytes(Token.objects.get().digest)


def test_sent_twice_makes_one(client: Client) -> None:
    """The same form sent again makes no second token and says so."""
    page = client.get(PAGE).content.decode()
    form = FORM | {"id": (re.search(r'name="id" value="([0-9A-Za-z]{12})"', page) or pytest.fail())[1]}
    client.post(MAKE, form)
    again = client.post(MAKE, form, follow=True).content.decode()
    assert Token.objects.count() == 1 and not TEXT.search(again) and "shown then" in again


def test_an_id_of_elsewhere_gives_nothing(client: Client, charlie: User) -> None:
    """The public id of another project's token makes nothing and shows nothing."""
    theirs = token(Project.objects.get(name="elsewhere"), "their secret name")
    answer = client.post(MAKE, FORM | {"id": theirs.public_id}, follow=True).content.decode()
    assert "their secret name" not in answer and not TEXT.search(answer)
    assert Token.objects.filter(project__name="main").count() == 0


def test_it_ends_when_the_form_says(client: Client) -> None:
    """A token made for 90 days ends in 90 days; one without an end has none."""
    client.post(MAKE, FORM)
    left = (Token.objects.get().expires_at or pytest.fail()) - timezone.now()
    assert timedelta(days=89) < left <= timedelta(days=90)
    client.post(MAKE, FORM | {"lasts": "", "label": "for ever"})
    assert Token.objects.get(label="for ever").expires_at is None


def test_revoked_is_refused(client: Client, project: Project) -> None:
    """A revoked token is found no more, and revoking it again changes nothing."""
    text = TEXT.search(client.post(MAKE, FORM).content.decode())[0]  # type: ignore[index]
    pk = Token.objects.get().pk
    client.post(f"{PAGE}{pk}/revoke/")
    assert tokens.find(text, timezone.now()) is None
    first = Token.objects.get().revoked_at
    client.post(f"{PAGE}{pk}/revoke/")
    assert Token.objects.get().revoked_at == first
    assert AuditEntry.objects.filter(verb="revoke token").count() == 1


@pytest.mark.parametrize("role", [Role.VIEWER, Role.RESPONDER])
def test_who_may_make_and_revoke(bob: User, project: Project, role: str) -> None:
    """Below operator nobody makes or revokes, and no form is offered."""
    Membership.objects.filter(user=bob).update(role=role)
    one, client = token(project), signed_in(bob)
    page = client.get(PAGE)
    assert (
        page.status_code == 200 and "<form" not in page.content.decode().split("<main")[1].split("</main")[0]
    )
    assert client.post(MAKE, FORM).status_code == client.post(f"{PAGE}{one.pk}/revoke/").status_code == 403
    assert Token.objects.count() == 1 and Token.objects.get().revoked_at is None


def test_outsiders_find_nothing(charlie: User, project: Project) -> None:
    """An administrator of another project reaches no token here, by no address."""
    one, client = token(project), signed_in(charlie)
    for path in (PAGE, MAKE, f"{PAGE}{one.pk}/revoke/", f"/p/elsewhere/tokens/{one.pk}/revoke/"):
        assert client.post(path, FORM).status_code in (404, 405)
    assert Token.objects.get().revoked_at is None


def test_an_operators_scope_takes_an_administrator(client: Client, alice: User) -> None:
    """An operator hands out agents' tokens; tokens of operators are an administrator's."""
    assert client.post(MAKE, FORM | {"scope": "operator"}).status_code == 403
    Membership.objects.filter(user=alice).update(role=Role.ADMIN)
    assert client.post(MAKE, FORM | {"scope": "operator"}).status_code == 200
    assert client.post(MAKE, FORM | {"scope": "superuser"}).status_code == 403


def test_reading_changes_nothing(client: Client, project: Project) -> None:
    """By GET nothing is made or revoked; without a CSRF token a POST is refused."""
    one = token(project)
    assert client.get(MAKE).status_code == client.get(f"{PAGE}{one.pk}/revoke/").status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies
    assert strict.post(MAKE, FORM).status_code == 403
    assert Token.objects.count() == 1


@pytest.mark.parametrize("label", ["", " ", "\0", "<b>x</b>", "\u202e" * 3, "x" * 5000])
def test_any_label(client: Client, label: str) -> None:
    """A label is asked for, cut, and shown as the text it is."""
    response = client.post(MAKE, FORM | {"label": label})
    assert response.status_code == (200 if label.replace("\0", "").strip() else 422)
    html = client.get(PAGE).content.decode()
    assert "<b>x" not in html and "\u202e" not in html
