"""The incidents' list: open ones first, filters in the address, nothing of other projects."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import Incident, IncidentState, Project, User
from tests.pages import story


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def close(incident: Incident) -> None:
    Incident.objects.filter(pk=incident.pk).update(state=IncidentState.CLOSED, closed_at=timezone.now())


def listed(client: Client, query: str = "") -> list[str]:
    rows = client.get(f"/p/main/incidents/?{query}").context["rows"]
    return [item["row"].agent.name for item in rows]


def test_open_ones_stand_first(signed_in: Client, project: Project) -> None:
    """What is open, longest first, then what is closed."""
    now = timezone.now()
    close(story.make_paused(project, now, "closed").incident)
    story.make_paused(project, now, "newer")
    story.make_paused(project, now - timedelta(hours=3), "older")
    assert listed(signed_in) == ["older", "newer", "closed"]
    assert listed(signed_in, "state=open") == ["older", "newer"]
    assert listed(signed_in, "state=closed") == ["closed"]
    assert listed(signed_in, "q=EWER") == ["newer"]


def test_the_list_is_known_by_its_version(signed_in: Client, project: Project) -> None:
    """304 while nothing of the project has changed."""
    story.make_paused(project, timezone.now())
    first = signed_in.get("/p/main/incidents/list/")
    again = signed_in.get("/p/main/incidents/list/", headers={"If-None-Match": first["ETag"]})
    assert (first.status_code, again.status_code) == (200, 304)


def test_a_long_list_costs_what_a_short_one_does(signed_in: Client, project: Project) -> None:
    """A constant number of queries."""
    now, costs = timezone.now(), []
    for size in (1, 12):
        for n in range(size):
            story.make_paused(project, now, f"agent-{size}-{n}")
        signed_in.get("/p/main/incidents/")
        with CaptureQueriesContext(connection) as caught:
            signed_in.get("/p/main/incidents/")
        costs.append(len(caught))
    assert costs[0] == costs[1]


def test_nothing_broke_yet(signed_in: Client) -> None:
    """An empty list says what would open one."""
    assert "One opens when an agent spends its budget" in signed_in.get("/p/main/incidents/").content.decode()


def test_another_projects_incident_is_not_there(signed_in: Client, charlie: User) -> None:
    """An incident's number from elsewhere is 404 on every address of it."""
    elsewhere = charlie.memberships.get().project
    theirs = story.make_paused(elsewhere, timezone.now()).incident.pk
    for path in ("", "now/", "bar/"):
        assert signed_in.get(f"/p/main/incidents/{theirs}/{path}").status_code == 404
    for verb in ("acknowledge", "resume", "stop", "start", "withdraw"):
        said = {"reason": "known bug", "version": 1}
        assert signed_in.post(f"/p/main/incidents/{theirs}/{verb}/", said).status_code == 404
