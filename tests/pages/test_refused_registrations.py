"""An agent whose registration was refused is seen by whoever looks for it."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from agents.models import Agent, Project, RefusedRegistration, User
from agents.services import refused
from tests.builders import Wire, make_token

HOSTILE = "<img src=x onerror=alert(1)>\u202e\u0007"


@pytest.fixture
def wire(project: Project) -> Wire:
    return Wire(make_token(project))


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def test_the_fleet_and_the_first_page_name_it_with_the_reason(signed_in: Client, wire: Wire) -> None:
    """Both say who was refused, why and how often; other projects do not."""
    wire.agent = "Refund Desk"
    assert [wire.register().status_code for _ in range(3)] == [422] * 3
    for path in ("", "fleet/waiting/", "welcome/", "welcome/waiting/"):
        page = signed_in.get(f"/p/main/{path}").content.decode()
        assert "<bdi>Refund Desk</bdi></b> tried to register 3 times and was refused" in page, path
        assert "a name has a-z, 0-9" in page
    assert RefusedRegistration.objects.count() == 1 and not Agent.objects.exists()


def test_what_it_says_is_text(signed_in: Client, wire: Wire) -> None:
    """A hostile name is shown as what it is, an unreadable body as an agent without one."""
    wire.agent = HOSTILE
    wire.register()
    wire.post("/api/v1/agents/register/", b"\xff{")
    page = signed_in.get("/p/main/").content.decode()
    assert "&lt;img src=x" in page and "<img" not in page and "\u202e" not in page and "\u0007" not in page
    assert "that says no name" in page


def test_a_project_keeps_the_newest_few(project: Project) -> None:
    """Names without end cost no room."""
    now = timezone.now()
    for n in range(refused.MOST + 15):
        refused.note(project_id=project.pk, body=b'{"agent":"%d"}' % n, why="x" * 900, now=now)
    kept = RefusedRegistration.objects.order_by("pk")
    assert [row.name for row in kept] == [str(n) for n in range(15, refused.MOST + 15)]
    assert len(kept[0].why) == 300


def test_it_is_over_when_the_agent_starts(signed_in: Client, wire: Wire) -> None:
    """Once its words are right it is let in, and nothing stays behind."""
    assert wire.register(budget={"max_consecutive": 0}).status_code == 422
    have = signed_in.get("/p/main/").context["waiting_mark"]
    assert signed_in.get("/p/main/fleet/waiting/", {"have": have}).status_code == 204
    assert wire.register().status_code == 200 and not RefusedRegistration.objects.exists()
    assert signed_in.get("/p/main/fleet/waiting/", {"have": have}).status_code == 200
