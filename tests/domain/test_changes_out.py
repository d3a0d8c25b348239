"""Webhooks for whoever builds on incidents: every change, signed, once, and never a page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from agents import access
from agents.models import Outbox, Project, User
from agents.services import decisions, escalating, having, incidents, sending, targets
from tests.domain import cast, receivers
from tests.domain.cast import MINUTE, NOW
from tests.domain.receivers import Hook

pytestmark = pytest.mark.django_db


@pytest.fixture
def hook(settings: Any) -> Iterator[Hook]:
    settings.ALERT_ALLOW_CIDRS = ["127.0.0.0/8"]
    with receivers.web_server() as hook:
        yield hook


@pytest.fixture
def operating(alice: User, project: Project) -> access.Actor:
    return cast.actor(alice, project)


def listen(operating: access.Actor, hook: Hook, *, changes: bool) -> None:
    kept = targets.add(actor=operating, kind="webhook", label="ours", address=hook.url, now=NOW)
    targets.change(
        actor=operating, pk=kept.target.pk, label="ours", address=hook.url, enabled=True, now=NOW,
        changes=changes,
    )  # fmt: skip


def told(hook: Hook) -> list[str]:
    bodies = [json.loads(post.body) for post in hook.posts]
    return [body["data"].get("change") or body["type"] for body in bodies]


def through(operating: access.Actor, project: Project) -> None:
    """An incident from its opening to its decision."""
    incident = cast.spends_its_budget(cast.worker(project)).incident
    incidents.acknowledge(actor=operating, incident_id=incident.pk, now=NOW)
    having.give_back(actor=operating, incident_id=incident.pk, now=NOW + MINUTE)
    until = NOW + 30 * MINUTE
    having.snooze(actor=operating, incident_id=incident.pk, until=until, reason="", now=NOW + 2 * MINUTE)
    incident.refresh_from_db()
    decisions.decide(
        actor=operating, incident_id=incident.pk, verb="resume", version=incident.version, reason="x",
        now=NOW + 3 * MINUTE,
    )  # fmt: skip
    sending.send_due(lambda: NOW + 4 * MINUTE)


def test_everything_that_becomes_of_it_is_told(hook: Hook, project: Project, operating: access.Actor) -> None:
    """Opened, acknowledged, open again, kept paused, decided: in order, each signed by the same secret."""
    listen(operating, hook, changes=True)
    through(operating, project)
    assert sorted(told(hook)) == sorted(
        ["incident.opened", "acknowledged", "open again", "keep paused", "decided: resume"]
    )
    assert len({post.headers["webhook-id"] for post in hook.posts}) == 5
    assert all(post.headers["webhook-signature"].startswith("v1,") for post in hook.posts)


def test_who_did_not_ask_hears_alerts_alone(hook: Hook, project: Project, operating: access.Actor) -> None:
    """A receiver that pages on every call is not called for an acknowledgement."""
    listen(operating, hook, changes=False)
    through(operating, project)
    assert told(hook) == ["incident.opened"]


def test_a_change_is_no_page(hook: Hook, project: Project, operating: access.Actor) -> None:
    """Whoever hears of changes is not counted as told, and no change starts a page."""
    listen(operating, hook, changes=True)
    through(operating, project)
    escalating.run_due(NOW + 5 * MINUTE)
    assert Outbox.objects.exclude(about="changed").count() == 1
