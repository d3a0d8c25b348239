"""The door: who comes in, and what it says to who does not."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from agents.models import User


def test_alice_comes_in_with_her_password(client: Client, alice: User) -> None:
    """Address and password open the door."""
    answer = client.post("/accounts/login/", {"login": alice.email, "password": "a long enough one"})
    assert answer.status_code == 302
    assert client.session["_auth_user_id"] == str(alice.pk)


def test_a_wrong_password_is_said_beside_the_fields(client: Client, alice: User) -> None:
    """The answer is on the page, marked as an alert, and says nothing of which of both was wrong."""
    page = client.post("/accounts/login/", {"login": alice.email, "password": "another one"}).content.decode()
    assert 'role="alert"' in page and "email address and/or password" in page


@pytest.mark.parametrize(
    ("stood", "back"),
    [
        ("/p/main/agents/refund-desk/?kind=failure", "/p/main/agents/refund-desk/?kind=failure"),
        ("/p/main/incidents/7/", "/p/main/incidents/7/"),
        ("/p/main/incidents/7/resume/", "/p/main/incidents/7/"),
        ("/p/main/pause/", "/p/main/"),
    ],
)
def test_a_form_sent_too_late_comes_back_to_its_page(client: Client, db: None, stood: str, back: str) -> None:
    """Whoever was signed out over a form signs in and stands before it again, not before an address that
    cannot be opened."""
    referer = {"Referer": f"http://testserver{stood}"}
    answer = client.post("/p/main/incidents/7/resume/", headers=referer)
    assert answer.status_code == 302 and parse_qs(urlsplit(answer["Location"]).query) == {"next": [back]}


@pytest.mark.parametrize(
    "stood", ["", "https://evil.example/p/main/", "//evil.example/p/main/", "http://testserver/no/such/page/"]
)
def test_a_form_of_elsewhere_leads_nowhere(client: Client, db: None, stood: str) -> None:
    """The way back never leaves this server, nor does it lead to what is not there."""
    answer = client.post("/p/main/incidents/7/resume/", headers={"Referer": stood})
    assert answer["Location"] == "/accounts/login/"


def test_nobody_signs_up(client: Client, db: None) -> None:
    """Sign-up is closed, and the page says who to ask."""
    page = client.get("/accounts/signup/").content.decode()
    assert "Nobody signs up here" in page and "password1" not in page
    client.post(
        "/accounts/signup/",
        {"email": "dora@example.com", "password1": "long enough 1", "password2": "long enough 1"},
    )
    assert not User.objects.filter(email="dora@example.com").exists()


def test_signing_out_takes_a_press(client: Client, alice: User) -> None:
    """A link signs nobody out; the button does."""
    client.force_login(alice)
    assert "Sign out</h1>" in client.get("/accounts/logout/").content.decode()
    assert "_auth_user_id" in client.session
    client.post("/accounts/logout/")
    assert "_auth_user_id" not in client.session


def test_what_is_not_there_says_so_in_our_words(client: Client, alice: User) -> None:
    """A wrong address is a page with a way back, not a blank one."""
    client.force_login(alice)
    answer = client.get("/no/such/page/")
    assert answer.status_code == 404 and "Not here" in answer.content.decode()
