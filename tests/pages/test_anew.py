"""Tokens, people and channels are changed by whoever signed in, or showed who they are, a moment ago."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    generate_totp_secret,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.test import Client
from django.utils import timezone

from agents.models import AlertTarget, Membership, Project, Role, Token, User
from tests.conftest import long_ago, member
from tests.pages.test_compare import words

pytestmark = pytest.mark.django_db
PASSWORD = {"password": "a long enough one"}
TOKEN = {"label": "refund-desk in production", "scope": "agent", "lasts": "90"}
SLACK = {"label": "ops", "url": "https://hooks.slack.com/services/T0/B0/abcdefghijklmnop"}


@pytest.fixture
def carol(project: Project) -> User:
    return member(project, "carol@example.com", "Carol", Role.ADMIN)


def of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return long_ago(client)


def forms(alice: User) -> list[tuple[str, dict[str, Any]]]:
    one = Membership.objects.get(user=alice)
    target = AlertTarget.objects.create(
        project_id=one.project_id, kind="email", label="on call", address="x@example.com"
    )
    return [
        ("tokens/make/", TOKEN),
        ("welcome/token/", {}),
        ("people/invite/", {"email": "dora@example.com", "role": "viewer"}),
        (f"people/{one.pk}/role/", {"role": "viewer"}),
        (f"people/{one.pk}/remove/", {}),
        ("alerts/add/slack/", SLACK),
        ("alerts/add/email/", {"label": "m", "address": "m@example.com"}),
        (f"alerts/{target.pk}/change/", {"label": "n", "address": "n@example.com"}),
    ]


def state() -> list[Any]:
    rows = [list(kind.objects.order_by("pk").values_list()) for kind in (Membership, Token, User)]
    return [*rows, list(AlertTarget.objects.order_by("pk").values_list("label", "address", "kind"))]


def test_an_old_session_changes_nothing_by_itself(alice: User, carol: User) -> None:
    """Each form leads to the door, and nothing is changed; with the sign-in of a moment ago none does."""
    for path, said in forms(alice):
        client, before = of(carol), state()
        answer = client.post(f"/p/main/{path}", said)
        assert answer["Location"].startswith("/accounts/reauthenticate/?next="), path
        assert state() == before, path
    client = Client()
    client.force_login(carol)
    for path, said in forms(alice):
        answer = client.post(f"/p/main/{path}", said)
        assert "reauthenticate" not in answer.headers.get("Location", ""), path


def test_what_was_typed_is_done_at_the_door(carol: User) -> None:
    """The token is in the answer to the password, with its name; a wrong password makes none."""
    client = of(carol)
    door = client.post("/p/main/tokens/make/", TOKEN)["Location"]
    assert client.post(door, {"password": "wrong"}).status_code == 200 and not Token.objects.exists()
    answer = client.post(door, PASSWORD)
    assert answer.status_code == 200 and "sb_" in answer.content.decode()
    assert Token.objects.get().label == TOKEN["label"]
    assert client.post("/p/main/tokens/make/", TOKEN).status_code == 200, "it asks once in five minutes"


def test_a_secret_waits_sealed(alice: User, carol: User) -> None:
    """Between the form and the door a channel's address is nowhere to be read; then it is kept."""
    client = of(carol)
    door = client.post("/p/main/alerts/add/slack/", SLACK)["Location"]
    assert "abcdefghijklmnop" not in str(dict(client.session))
    client.post(door, PASSWORD)
    assert AlertTarget.objects.get(kind="slack").label == "ops"


def test_another_door_does_not_do_it(carol: User) -> None:
    """Who turned back, and shows who they are for something else later, makes no token by that."""
    client = of(carol)
    client.post("/p/main/tokens/make/", TOKEN)
    answer = client.post("/accounts/reauthenticate/?next=/p/main/people/", PASSWORD)
    assert answer["Location"] == "/p/main/people/" and not Token.objects.exists()
    elsewhere = of(carol)
    elsewhere.post("/p/main/tokens/make/", TOKEN)
    answer = elsewhere.post("/accounts/reauthenticate/?next=https://evil.example/", PASSWORD)
    assert "evil" not in answer["Location"] and not Token.objects.exists()


def test_it_does_not_wait_for_long(carol: User) -> None:
    """After ten minutes nothing is done, and that is said."""
    client = of(carol)
    door = client.post("/p/main/tokens/make/", TOKEN)["Location"]
    with time_machine.travel(timezone.now() + timedelta(minutes=11)):
        answer = client.post(door, PASSWORD, follow=True)
    assert "longer than ten minutes" in words(answer.content.decode()) and not Token.objects.exists()


def test_who_lost_the_right_meanwhile_is_refused(carol: User) -> None:
    """The door asks for permission like the form: a viewer makes no token."""
    client = of(carol)
    door = client.post("/p/main/tokens/make/", TOKEN)["Location"]
    Membership.objects.filter(user=carol).update(role=Role.VIEWER)
    assert client.post(door, PASSWORD).status_code == 403 and not Token.objects.exists()


def test_a_code_opens_the_door_too(carol: User) -> None:
    """Who has no password and an authenticator is led to the page for codes."""
    secret = generate_totp_secret()
    TOTP.activate(carol, secret)
    RecoveryCodes.activate(carol)
    carol.set_unusable_password()
    carol.save()
    client = of(carol)
    door = client.post("/p/main/tokens/make/", TOKEN)["Location"]
    door = client.get(door)["Location"]
    assert door.startswith("/accounts/2fa/reauthenticate/")
    code = format_hotp_value(hotp_value(secret, next(yield_hotp_counters_from_time())))
    assert "sb_" in client.post(door, {"code": code}).content.decode()


def test_who_has_no_means_is_told_before_they_type(carol: User) -> None:
    """By single sign-on alone: a sign-in of a moment ago is enough; later the page says what to do."""
    carol.set_unusable_password()
    carol.save()
    fresh = Client()
    fresh.force_login(carol)
    assert fresh.post("/p/main/tokens/make/", TOKEN).status_code == 200
    client = of(carol)
    for page in ("tokens/", "people/", "alerts/", "welcome/"):
        assert "Sign out and in again" in client.get(f"/p/main/{page}").content.decode(), page
        assert "Sign out and in again" not in fresh.get(f"/p/main/{page}").content.decode(), page
    answer = client.post("/p/main/tokens/make/", TOKEN, follow=True)
    assert "Sign out and in again" in answer.content.decode() and Token.objects.count() == 1
