"""One's own sessions: what is seen of them, and how one, all others, or all of a lost way in are ended."""

from __future__ import annotations

import datetime as dt

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from allauth.usersessions.models import UserSession
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from agents.models import User
from dashboard import browsers, sessions

pytestmark = pytest.mark.django_db
PAGE = "/account/sessions/"
PASSWORD = "a long enough one"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PHONE = "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36"


def come_in(user: User, agent: str = FIREFOX, address: str = "203.0.113.7") -> Client:
    client = Client(headers={"User-Agent": agent}, REMOTE_ADDR=address)
    answer = client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    assert answer.status_code == 302
    return client


def is_in(client: Client) -> bool:
    return client.get(PAGE).status_code == 200


def key_of(client: Client) -> int:
    return UserSession.objects.get(session_key=client.session.session_key).pk


def test_each_session_says_what_where_and_when(alice: User) -> None:
    """The browser in words, the address it came from, and which one is looking."""
    here, phone = come_in(alice), come_in(alice, PHONE, "198.51.100.9")
    page = here.get(PAGE).content.decode()
    assert "Firefox on Linux" in page and "203.0.113.7" in page
    assert "Chrome on Android" in page and "198.51.100.9" in page
    assert page.count("this one") == 1 and f"/account/sessions/{key_of(here)}/end/" not in page
    assert f"/account/sessions/{key_of(phone)}/end/" in page


def test_one_is_ended_and_the_others_stay(alice: User) -> None:
    """The ended one is sent to the door; asked again it is said that it had ended."""
    here, phone, tablet = come_in(alice), come_in(alice, PHONE), come_in(alice)
    pk = key_of(phone)
    here.post(f"{PAGE}{pk}/end/")
    assert not is_in(phone) and is_in(tablet) and is_in(here)
    assert "had ended before" in here.post(f"{PAGE}{pk}/end/", follow=True).content.decode()


def test_all_others_are_ended_at_once(alice: User, bob: User) -> None:
    """Hers, and nobody else's."""
    here, others, bobs = come_in(alice), [come_in(alice), come_in(alice, PHONE)], come_in(bob)
    here.post(f"{PAGE}others/end/")
    assert is_in(here) and is_in(bobs) and not any(is_in(one) for one in others)
    assert here.get(PAGE).content.decode().count("End it") == 0


def test_nobody_ends_or_sees_another_persons(alice: User, bob: User) -> None:
    """A number that is guessed ends nothing."""
    hers, bobs = come_in(alice), come_in(bob, PHONE, "198.51.100.9")
    hers.post(f"{PAGE}{key_of(bobs)}/end/")
    assert is_in(bobs) and "198.51.100.9" not in hers.get(PAGE).content.decode()


def test_this_one_is_not_ended_by_a_slip(alice: User) -> None:
    """Signing out is another button."""
    here = come_in(alice)
    here.post(f"{PAGE}{key_of(here)}/end/")
    assert is_in(here)


def test_a_changed_password_ends_the_others(alice: User) -> None:
    """The one that changed it stays, the rest are gone from the list too."""
    here, other = come_in(alice), come_in(alice, PHONE)
    chosen = "another long enough one"
    answer = here.post(
        "/accounts/password/change/", {"oldpassword": PASSWORD, "password1": chosen, "password2": chosen}
    )
    assert answer.status_code == 302 and is_in(here) and not is_in(other)
    assert UserSession.objects.filter(user=alice).count() == 1


def test_a_second_factor_taken_away_ends_the_others(alice: User) -> None:
    """Whoever held the other session may have wanted just that."""
    here, other = come_in(alice), come_in(alice, PHONE)
    TOTP.activate(alice, generate_totp_secret())
    here.post("/accounts/reauthenticate/", {"password": PASSWORD})
    answer = here.post("/accounts/2fa/totp/deactivate/")
    assert answer.status_code == 302 and not Authenticator.objects.filter(user=alice).exists()
    assert is_in(here) and not is_in(other)


def test_an_old_hash_ends_no_session(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Renewed while it is compared, it would end the session for requests under way."""
    here = come_in(alice)
    monkeypatch.setattr(PBKDF2PasswordHasher, "iterations", 2)
    former = User.objects.get(pk=alice.pk).password
    assert here.post("/accounts/reauthenticate/", {"password": "a wrong one"}).status_code == 200
    assert here.post("/accounts/reauthenticate/", {"password": PASSWORD}).status_code == 302
    assert is_in(here) and User.objects.get(pk=alice.pk).password == former


def test_when_it_was_used_is_written_once_a_minute(alice: User) -> None:
    """A page that is looked at often costs no statement more each time."""
    client = come_in(alice)
    opened = UserSession.objects.get().last_seen_at
    with time_machine.travel(opened + dt.timedelta(seconds=30)):
        client.get("/p/main/")
    assert UserSession.objects.get().last_seen_at == opened
    sessions._noted.clear()
    with time_machine.travel(opened + dt.timedelta(seconds=90)):
        client.get("/p/main/")
    assert UserSession.objects.get().last_seen_at > opened


def test_queries_do_not_grow_with_sessions(alice: User) -> None:
    """Twelve are read like two."""
    here, counted = come_in(alice), []
    for more in (1, 10):
        for _ in range(more):
            Client().force_login(alice)
        with CaptureQueriesContext(connection) as queries:
            here.get(PAGE)
        counted.append(len(queries))
    assert counted[0] == counted[1]


def test_what_a_browser_calls_itself_is_never_shown(alice: User) -> None:
    """Only our own words are, whatever it says."""
    client = come_in(alice, "<img src=x onerror=alert(1)>" * 40)
    page = client.get(PAGE).content.decode()
    assert "<img src=x" not in page and "A browser we do not know" in page


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (FIREFOX, "Firefox on Linux"),
        (PHONE, "Chrome on Android"),
        (
            "Mozilla/5.0 (Windows NT 10.0) Chrome/140 Safari/537.36 Edg/140",
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (iPhone; like Mac OS X) Version/18 Safari/604.1",
            "Safari on iPhone",
        ),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) Version/18 Safari/605.1", "Safari on macOS"),
        ("", "A browser we do not know"),
    ],
)
def test_a_browser_in_words(agent: str, words: str) -> None:
    """The most particular mark wins: they all claim to be each other."""
    assert browsers.named(agent) == words
