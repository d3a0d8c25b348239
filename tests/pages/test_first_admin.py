"""The first administrator's link: opened without effect, taken up once, dead afterwards."""

from __future__ import annotations

import io
import logging
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from agents.models import SignInLink, User
from agents.services import sign_in_links
from dashboard import logs

CHOSEN = {"email": "Dora@Example.com", "password": "correct horse battery"}


@pytest.fixture
def address(db: None) -> str:
    user = sign_in_links.first_administrator()
    assert user is not None
    return f"/welcome/{sign_in_links.issue(user=user, now=timezone.now())}/"


def test_opening_changes_nothing(client: Client, address: str) -> None:
    """A scanner that opens the link leaves it whole and signs nobody in."""
    for _ in range(2):
        assert client.get(address).status_code == 200
    assert SignInLink.objects.get().used_at is None
    assert "_auth_user_id" not in client.session


def test_taking_it_up_makes_an_administrator(client: Client, address: str) -> None:
    """The button signs in, and from then on the chosen address and password do."""
    assert client.post(address, CHOSEN).status_code == 302
    user = User.objects.get()
    assert (user.email, user.is_superuser) == ("dora@example.com", True)
    assert client.session["_auth_user_id"] == str(user.pk)
    assert Client().login(email="dora@example.com", password=CHOSEN["password"])
    assert sign_in_links.first_administrator() is None


def test_it_works_once(client: Client, address: str) -> None:
    """A link that was taken up is dead, to look at and to use."""
    client.post(address, CHOSEN)
    assert Client().get(address).status_code == 404
    assert Client().post(address, {**CHOSEN, "email": "eve@example.com"}).status_code == 404
    assert User.objects.get().email == "dora@example.com"


def test_the_loser_of_two_clicks_gets_nothing(address: str) -> None:
    """Whoever comes second, with the link still in hand, takes up nothing."""
    link = SignInLink.objects.get()
    now = timezone.now()
    assert sign_in_links.take_up(link=link, email="first@example.com", password="x", now=now)
    assert not sign_in_links.take_up(link=link, email="second@example.com", password="x", now=now)
    assert User.objects.get().email == "first@example.com"


def test_a_newer_link_ends_the_older(client: Client, address: str) -> None:
    """Each start prints a link, and only the newest works."""
    user = sign_in_links.first_administrator()
    assert user is not None
    sign_in_links.issue(user=user, now=timezone.now())
    assert client.get(address).status_code == 404
    assert User.objects.count() == 1


def test_it_ends_after_a_day(address: str) -> None:
    """A link that nobody took up is dead a day later."""
    secret = address.split("/")[2]
    now = timezone.now()
    assert sign_in_links.find(secret, now + timedelta(hours=23)) is not None
    assert sign_in_links.find(secret, now + timedelta(hours=25)) is None


def test_only_a_digest_is_kept(address: str) -> None:
    """The database cannot be read for a way in."""
    assert address.split("/")[2] not in str(SignInLink.objects.values().get())


@pytest.mark.parametrize(
    ("field", "value"), [("password", "short"), ("password", "password12"), ("email", "nobody")]
)
def test_a_weak_choice_is_refused(client: Client, address: str, field: str, value: str) -> None:
    """A weak password or a broken address is named, and the link stays whole."""
    assert client.post(address, {**CHOSEN, field: value}).status_code == 422
    assert SignInLink.objects.get().used_at is None


def test_without_a_csrf_token_it_is_refused(address: str) -> None:
    """Another site cannot take the link up for its visitor."""
    assert Client(enforce_csrf_checks=True).post(address, CHOSEN).status_code == 403


def test_a_link_that_still_works_is_in_no_log(address: str) -> None:
    """What the log says of a refused password leaves the link's secret out."""
    out = io.StringIO()
    json = logs.logging_settings("warning")["formatters"]["json"]
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        json["()"](processors=json["processors"], foreign_pre_chain=json["foreign_pre_chain"])
    )
    said = logging.LogRecord("django.request", logging.WARNING, "", 0, "%s: %s", ("Refused", address), None)
    handler.emit(said)
    assert "/welcome/" in out.getvalue() and address not in out.getvalue()
