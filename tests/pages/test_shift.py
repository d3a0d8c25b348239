"""The morning page: what happened since a time, said once, in words and numbers that add up."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import Agent, Incident, Minute, Note, Project, User
from tests.pages import story
from tests.pages.states import HOSTILE
from tests.pages.test_compare import words

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def client(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def minute(agent: Agent, *, ago: timedelta, ok: int, failed: int) -> None:
    at = (timezone.now() - ago).replace(second=0, microsecond=0)
    Minute.objects.create(agent=agent, at=at, ok=ok, failed=failed)


def page(client: Client, query: str = "") -> str:
    return words(client.get(f"/p/main/shift/{query}").content.decode())


def test_a_quiet_night_says_so(client: Client, project: Project) -> None:
    """Nothing waits, nothing opened, nothing failed."""
    said = page(client)
    assert "Nothing is waiting." in said and "None opened." in said and "Nothing failed" in said


def test_what_opened_and_what_came_of_it(client: Client, project: Project, alice: User) -> None:
    """An incident that was decided says by whom; the time that people spent is a sum."""
    paused = story.make_paused(project, timezone.now() - 2 * HOUR)
    now = timezone.now()
    Incident.objects.filter(pk=paused.incident.pk).update(
        opened_at=now - 2 * HOUR, acknowledged_at=now - HOUR, decided_at=now - HOUR / 2, state="decided"
    )
    Note.objects.create(incident=paused.incident, by="bob", text=f"called them {HOSTILE}")
    html = client.get("/p/main/shift/").content.decode()
    said = words(html)
    assert "30 min in all" in said and "1 h on average" in said
    assert "called them" in said and "<img src=x" not in html


def test_it_looks_back_as_far_as_it_is_asked(client: Client, project: Project) -> None:
    """Eight hours unless asked otherwise; nonsense shows eight hours, a time long ago a month."""
    paused = story.make_paused(project, timezone.now())
    ago = timezone.now() - 20 * HOUR
    Incident.objects.filter(pk=paused.incident.pk).update(opened_at=ago, state="closed")
    assert "None opened." in page(client) and "None opened." not in page(client, "?span=24h")
    for query in ("?span=forever", "?since=yesterday", "?since=%00"):
        assert "None opened." in page(client, query)
    assert "None opened." not in page(client, "?since=1970-01-02T00:00:00Z")


def test_who_failed_and_went_on_is_named(client: Client, project: Project) -> None:
    """An agent whose failures opened no incident recovered by itself; one that is paused did not."""
    well = story.make_worker(project, "mail-desk", "running", timezone.now()).agent
    minute(well, ago=HOUR, ok=98, failed=2)
    paused = story.make_paused(project, timezone.now())
    paused.incident.instances.add(paused.instance)
    minute(paused.instance.agent, ago=HOUR, ok=0, failed=3)
    said = page(client)
    assert "mail-desk failed 2 times, and went on" in said and "refund-desk failed" not in said
    assert "103 4.9 % failed" in said


def test_another_projects_night_is_its_own(client: Client, project: Project) -> None:
    """Nothing of another project is counted or named."""
    story.make_paused(Project.objects.create(name="elsewhere"), timezone.now(), name="secret-desk")
    said = page(client)
    assert "secret-desk" not in said and "None opened." in said


def test_queries_do_not_grow_with_the_night(client: Client, project: Project) -> None:
    """Ten incidents cost as many queries as one."""
    counted = []
    for n in range(2):
        for m in range(1 + 9 * n):
            story.make_paused(project, timezone.now(), name=f"desk-{n}-{m}")
        with CaptureQueriesContext(connection) as queries:
            page(client)
        counted.append(len(queries))
    assert counted[0] == counted[1]
