"""The number beside *Incidents* is true on every page, and goes on being true while the page is open."""

from __future__ import annotations

from django.test import Client
from django.utils import timezone

from agents.models import Incident, IncidentState, Project, User
from tests.pages import story


def test_the_count_is_of_incidents_that_wait_for_a_decision(
    client: Client, alice: User, project: Project
) -> None:
    """Open and acknowledged ones count; what was decided does not."""
    incident = story.make_paused(project, timezone.now()).incident
    client.force_login(alice)
    assert '<span class="count">1<' in client.get("/p/main/waiting/").content.decode()
    Incident.objects.filter(pk=incident.pk).update(state=IncidentState.DECIDED)
    assert "count" not in client.get("/p/main/waiting/").content.decode().replace("waiting-count", "")


def test_the_count_of_another_project_is_nobodys_business(
    client: Client, charlie: User, project: Project
) -> None:
    """Whoever is outside gets what they would get for no project at all."""
    client.force_login(charlie)
    assert client.get("/p/main/waiting/").status_code == 404


def test_every_page_of_a_project_listens_for_it(client: Client, alice: User, project: Project) -> None:
    """The topic of the fleet is declared wherever the number is shown, and its address is real."""
    client.force_login(alice)
    page = client.get("/design/").content.decode()
    assert f"fleet-{project.pk}" in page.split('data-topics="')[1].split('"')[0].split()
    assert 'hx-get="/p/main/waiting/"' in page and page.count('id="waiting-count"') == 1
