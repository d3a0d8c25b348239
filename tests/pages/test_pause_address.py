"""The address that a paused agent names: to the incident, for whoever may see it."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client
from django.utils import timezone

from agents.models import Project, User
from tests.pages import story


@pytest.fixture
def paused(project: Project) -> story.Paused:
    return story.make_paused(project, timezone.now())


def address(paused: story.Paused) -> str:
    return f"/pauses/{paused.incident.pauses.get().pk}/"


def test_it_leads_to_the_incident(client: Client, bob: User, paused: story.Paused) -> None:
    client.force_login(bob)
    assert client.get(address(paused))["Location"] == f"/p/main/incidents/{paused.incident.pk}/"


def test_it_comes_back_after_signing_in(client: Client, paused: story.Paused) -> None:
    assert client.get(address(paused))["Location"].endswith(f"?next={address(paused)}")


def test_another_project_is_told_what_nobody_knows(
    client: Client, charlie: User, paused: story.Paused
) -> None:
    """So that an id tells nothing."""
    client.force_login(charlie)
    foreign, unknown = client.get(address(paused)), client.get(f"/pauses/{uuid.uuid4()}/")
    assert foreign.status_code == unknown.status_code == 404
    assert b"as soon as it reaches this server" in foreign.content
    assert client.post(address(paused)).status_code == 405
