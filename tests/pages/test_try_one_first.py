"""Try one first, from the incident's page and from a program."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from agents.models import Incident, Project, Trial, User
from agents.services import trials
from tests.builders import make_token
from tests.domain.test_try_one_first import acts, goes_on, make_incident
from tests.pages.test_compare import words

pytestmark = pytest.mark.django_db


@pytest.fixture
def incident(project: Project) -> Incident:
    return make_incident(project)


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def card(client: Client, incident: Incident) -> str:
    return words(client.get(f"/p/main/incidents/{incident.pk}/").content.decode())


def begin(client: Client, incident: Incident, **more: Any) -> Any:
    said = {"version": incident.version, "reason": "known bug", "first": "one"} | more
    return client.post(f"/p/main/incidents/{incident.pk}/try/", said)


def test_it_is_offered_followed_and_said(signed_in: Client, incident: Incident) -> None:
    """Who goes first, how far it has come, who follows; and at the end what became of it."""
    offered = card(signed_in, incident)
    assert "Resume this one alone" in offered and "three actions with issue_refund" in offered
    assert begin(signed_in, incident).status_code == 302
    shown = card(signed_in, incident)
    assert "one goes first" in shown and "0 of 3 actions with issue_refund passed" in shown
    assert "Then by themselves: three, two" in shown and "Resume this one alone" not in shown
    now = timezone.now()
    acts(goes_on(incident, now), n=3, now=now)
    trials.look(timezone.now())
    assert "passed 3 actions with issue_refund, and three, two followed" in card(signed_in, incident)


def test_a_failed_try_is_said(signed_in: Client, incident: Incident) -> None:
    """With the choice as before."""
    begin(signed_in, incident)
    Trial.objects.update(state="failed", why="one paused again. The others stay paused.")
    shown = card(signed_in, incident)
    assert "The one that went first failed" in shown and "one paused again" in shown


def test_it_is_called_off_from_the_page(signed_in: Client, incident: Incident) -> None:
    begin(signed_in, incident)
    signed_in.post(f"/p/main/incidents/{incident.pk}/try/end/")
    assert Trial.objects.get().state == "ended"
    assert "alice@example.com called it off" in card(signed_in, incident)


def test_it_asks_for_a_reason_and_a_current_version(signed_in: Client, incident: Incident) -> None:
    assert begin(signed_in, incident, reason="").status_code == 422
    assert begin(signed_in, incident, version=0).status_code == 409
    assert not Trial.objects.exists()


def test_one_agent_alone_is_not_offered_it(signed_in: Client, incident: Incident) -> None:
    incident.pauses.exclude(instance__agent__name="one").update(state="lifted")
    assert "Resume this one alone" not in card(signed_in, incident)


def test_a_program_tries(project: Project, incident: Incident) -> None:
    bearer: Any = {"headers": {"Authorization": f"Bearer {make_token(project, 'operator')}"}}
    said = {"agent": "two", "version": incident.version, "reason": "x"}
    path = f"/api/v1/incidents/{incident.pk}/try/"
    answer = Client().post(path, json.dumps(said), content_type="application/json", **bearer)
    assert answer.status_code == 200 and Trial.objects.get().agent.name == "two"
