"""Guessing, planted sessions, forged forms and addresses that lead elsewhere: what each is answered."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client

from agents.models import Project, Role, User
from tests.conftest import member
from tests.security import ground
from tests.security.rows import OPEN, ROWS

pytestmark = pytest.mark.django_db
PASSWORD = "a long enough one"
DOOR = "/accounts/login/"
TOO_MANY = "Too many failed login attempts"
OWN = (
    DOOR, "/accounts/logout/", "/accounts/password/change/", "/accounts/password/reset/",
    "/accounts/reauthenticate/", "/accounts/2fa/totp/activate/", "/accounts/2fa/recovery-codes/generate/",
    "/accounts/2fa/webauthn/add/", "/accounts/2fa/webauthn/login/", "/accounts/3rdparty/",
)  # fmt: skip
ELSEWHERE = [
    "https://evil.example/", "//evil.example/", "///evil.example", "/\\evil.example", "\\\\evil.example",
    "http:evil.example", "javascript:alert(1)", "https://testserver@evil.example/", "\thttps://evil.example",
    "https://testserver.evil.example/",
]  # fmt: skip


def somebody(project: Project) -> User:
    """Known to no other test: what is counted outlives one."""
    return member(project, f"{uuid.uuid4().hex}@example.com", "Somebody", Role.VIEWER)


def from_somewhere() -> str:
    """A network of its own: all of a /64 are counted as one address."""
    number = uuid.uuid4().hex
    return f"2001:db8:{number[:4]}:{number[4:8]}::1"


def tries(email: str, password: str, address: str) -> Any:
    return Client(REMOTE_ADDR=address).post(DOOR, {"login": email, "password": password})


def test_guessing_one_account_ends_after_five(project: Project) -> None:
    """From however many addresses; then the right password is not even looked at, and that is said."""
    user = somebody(project)
    for n in range(5):
        answer = tries(user.email, f"wrong {n}", from_somewhere())
        assert TOO_MANY not in answer.content.decode()
    answer = tries(user.email, PASSWORD, from_somewhere())
    assert answer.status_code == 200 and TOO_MANY in answer.content.decode()
    assert tries(somebody(project).email, PASSWORD, from_somewhere()).status_code == 302


def test_guessing_from_one_address_ends_after_ten(project: Project) -> None:
    """However many accounts are tried, from all over its /64; whoever comes from elsewhere gets in."""
    address, user = from_somewhere(), somebody(project)
    for n in range(10):
        tries(f"{uuid.uuid4().hex}@example.com", "wrong", address.replace("::1", f"::{n + 2}"))
    assert TOO_MANY in tries(user.email, PASSWORD, address).content.decode()
    assert tries(user.email, PASSWORD, from_somewhere()).status_code == 302


def test_an_unknown_account_is_answered_like_a_known_one(project: Project) -> None:
    """The door does not say who signs in here."""
    said = "email address and/or password"
    for email in (somebody(project).email, f"{uuid.uuid4().hex}@example.com"):
        answer = tries(email, "wrong", from_somewhere())
        assert answer.status_code == 200 and said in answer.content.decode()


def test_a_planted_session_is_not_the_one_that_is_signed_in(project: Project) -> None:
    """Its key changes at the door, and the former one opens nothing."""
    user, planted = somebody(project), SessionStore()
    planted["planted"] = True
    planted.create()
    assert planted.session_key is not None
    victim, attacker = Client(REMOTE_ADDR=from_somewhere()), Client()
    for client in (victim, attacker):
        client.cookies["sessionid"] = planted.session_key
    assert victim.post(DOOR, {"login": user.email, "password": PASSWORD}).status_code == 302
    assert victim.cookies["sessionid"].value != planted.session_key
    assert victim.get("/account/sessions/").status_code == 200
    assert attacker.get("/account/sessions/").status_code == 302
    assert not SessionStore().exists(planted.session_key)


@pytest.mark.parametrize("next_", ELSEWHERE)
def test_the_door_leads_nowhere_else(next_: str, project: Project) -> None:
    """After signing in, after signing out, and after another theme."""
    client, user = Client(REMOTE_ADDR=from_somewhere()), somebody(project)
    answer = client.post(DOOR, {"login": user.email, "password": PASSWORD, "next": next_})
    assert answer["Location"] == "/"
    for path, said in (("/theme/", {"theme": "dark"}), ("/accounts/logout/", {})):
        location = client.post(path, {**said, "next": next_})["Location"]
        assert "evil" not in location and location.startswith("/") and location[:2] not in ("//", "/\\")


def test_a_form_without_our_token_is_refused_everywhere(project: Project, alice: User) -> None:
    """Every address that takes a form, by who may most: 403, and nothing has changed."""
    here = ground.made(project, alice)
    client = Client(enforce_csrf_checks=True)
    client.force_login(member(project, "ada@example.com", "Ada", Role.ADMIN))
    rows = [route for route, row in ROWS.items() if "POST" in row and not route.startswith("api/")]
    paths = [here.path(route) for route in rows] + list(OWN)
    paths += [here.path(route) for route in OPEN if route in ("theme/", "welcome/<str:secret>/")]
    before = here.state()
    wrong = {path: status for path in paths if (status := client.post(path).status_code) != 403}
    assert len(paths) > 50 and not wrong
    assert here.state() == before and client.get("/account/sessions/").status_code == 200
