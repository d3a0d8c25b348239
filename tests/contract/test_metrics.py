"""What an outside monitor is told: numbers for whoever brings a token, and a ping while all is well."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from agents.models import AlertTarget, Attempt, Incident, Outbox, Project, User
from dashboard import tasks
from tests.builders import make_token
from tests.domain import cast, receivers
from tests.domain.receivers import Hook

pytestmark = pytest.mark.django_db
SECOND = dt.timedelta(seconds=1)


def told(project: Project, scope: str = "operator") -> tuple[int, dict[tuple[str, ...], float]]:
    token = make_token(project, scope)
    answer = Client().get("/metrics", headers={"Authorization": f"Bearer {token}"})
    if answer.status_code != 200:
        return answer.status_code, {}
    families = text_string_to_metric_families(answer.content.decode())
    samples = [sample for family in families for sample in family.samples]
    return 200, {
        (one.name, *(value for key, value in one.labels.items() if key != "project")): one.value
        for one in samples
    }


def open_incident(project: Project, name: str = "refund-desk", ago: int = 100) -> Incident:
    pause = cast.spends_its_budget(cast.worker(project, name))
    opened = timezone.now() - ago * SECOND
    Incident.objects.filter(pk=pause.incident_id).update(opened_at=opened, group=None)
    return Incident.objects.get(pk=pause.incident_id)


def test_a_projects_numbers(project: Project) -> None:
    """Agents by status, open incidents and the oldest, how long the first alert took, what waits."""
    incident = open_incident(project)
    target = AlertTarget.objects.create(project=project, kind="email", label="x", address="x@example.com")
    row = Outbox.objects.create(target=target, incident=incident, key="a", state="sent")
    ended = incident.opened_at + 2 * SECOND
    Attempt.objects.create(outbox=row, outcome="sent", ended_at=ended)
    Outbox.objects.create(target=target, key="b", due_at=timezone.now() - 30 * SECOND)
    status, said = told(project)
    assert status == 200
    assert said["sickbay_agents", "paused"] == 1 and said["sickbay_agents", "running"] == 0
    assert said["sickbay_open_incidents", "open"] == 1
    assert 100 <= said["sickbay_oldest_unacknowledged_seconds",] < 110
    assert said["sickbay_alerts_waiting",] == 1 and 30 <= said["sickbay_oldest_alert_seconds",] < 40
    assert said["sickbay_first_alert_seconds", "max"] == pytest.approx(2)
    assert ("sickbay_pulse_age_seconds", "worker") in said


def test_another_projects_numbers_are_its_own(project: Project) -> None:
    """A token of another project counts nothing of this one."""
    open_incident(project)
    _, said = told(Project.objects.create(name="elsewhere"))
    assert said["sickbay_agents", "paused"] == 0 and said["sickbay_open_incidents", "open"] == 0


@pytest.mark.parametrize("scope", ["agent"])
def test_an_agents_token_reads_none(project: Project, scope: str) -> None:
    """What only sends events does not see the fleet; nobody at all is told how to ask."""
    assert told(project, scope)[0] == 401
    assert Client().get("/metrics").status_code == 401


def test_the_number_of_queries_is_constant(project: Project) -> None:
    """Ten incidents cost as many queries as one."""
    counted = []
    for n in range(2):
        for m in range(1 + 9 * n):
            open_incident(project, f"agent-{n}-{m}")
        with CaptureQueriesContext(connection) as queries:
            told(project)
        counted.append(len(queries))
    assert counted[0] == counted[1]


@pytest.fixture
def monitor(settings: Any) -> Iterator[Hook]:
    settings.ALERT_ALLOW_CIDRS = ["127.0.0.0/8"]
    with receivers.web_server() as hook:
        yield hook


def test_it_is_pinged_while_all_is_well(monitor: Hook) -> None:
    """And not when an alert has been late for a minute: whoever waits for the ping is told then."""
    assert tasks.ping_if_well(f"http://127.0.0.1:{monitor.port}/alive") == ""
    assert len(monitor.posts) == 1
    project = Project.objects.get_or_create(name="main")[0]
    target = AlertTarget.objects.create(project=project, kind="email", label="x", address="x@example.com")
    Outbox.objects.create(target=target, key="late", due_at=timezone.now() - 61 * SECOND)
    assert "alerts are late" in tasks.ping_if_well(f"http://127.0.0.1:{monitor.port}/alive")
    assert len(monitor.posts) == 1


def test_a_private_monitor_is_refused_like_any_webhook(settings: Any) -> None:
    """The address goes the way of alerts: nothing inside the network is reached by it."""
    settings.ALERT_ALLOW_CIDRS = []
    assert "not a public one" in tasks.ping_if_well("http://127.0.0.1:9/")


def test_every_page_says_that_alerts_are_late(client: Client, alice: User, project: Project) -> None:
    """In red, while the oldest has waited for a minute; and no longer once it went out."""
    client.force_login(alice)
    target = AlertTarget.objects.create(project=project, kind="email", label="x", address="x@example.com")
    row = Outbox.objects.create(target=target, key="late", due_at=timezone.now() - 61 * SECOND)
    for page in ("", "incidents/", "audit/"):
        assert 'id="alerts-late"' in client.get(f"/p/main/{page}").content.decode()
    Outbox.objects.filter(pk=row.pk).update(state="sent")
    assert 'id="alerts-late"' not in client.get("/p/main/").content.decode()
