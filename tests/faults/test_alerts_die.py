"""Alerts and escalation killed at each of their steps, with two beats, without a worker, with a hung broker.

P13: nothing is lost, a crash costs at most one message more, and its receiver can tell it by the id.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django.db.models import F
from django.test import Client
from django.utils import timezone

from agents.models import Attempt, Escalation, Incident, Outbox, Project, User
from agents.services import outbox
from dashboard.embedded.children import Child
from dashboard.embedded.valkey import Valkey, choose_url
from tests.domain import receivers
from tests.domain.cast import MINUTE, SECOND
from tests.domain.receivers import Hook, Mailbox
from tests.faults import on_call
from tests.faults.on_call import Started
from tests.faults.schedule import Schedule
from tests.waiting import slowness, until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def hook() -> Iterator[Hook]:
    with receivers.web_server() as hook:
        yield hook


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with receivers.mail_server() as mailbox:
        yield mailbox


@pytest.fixture
def start(tmp_path: Path, mailbox: Mailbox) -> Iterator[Started]:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.flushall()  # what other tests rang for
    with on_call.starting(tmp_path, mailbox) as start:
        yield start


def died(child: Child, point: str) -> None:
    until(lambda: not child.is_running(), 60 * slowness(), f"a death at {point}")
    assert child.process is not None and child.process.returncode == 137, child.last_words(20)


def a_claim_later() -> None:
    """The half minute after which a claim of the dead is nobody's."""
    later = F("due_at") - 31 * SECOND
    Outbox.objects.filter(state="claimed").update(due_at=later)


def all_sent() -> bool:
    return not Outbox.objects.exclude(state="sent").exists()


def test_killed_between_claiming_sending_and_recording(
    project: Project, hook: Hook, start: Started, schedule: Schedule
) -> None:
    """Killed with the claim: sent once. Killed with the message handed over: once more, under the same id."""
    on_call.make_webhook(project, hook)
    for round in schedule.rounds(1, 10):
        for point, most in (("alerts:claimed", 1), ("alerts:handed", 2)):
            hook.posts.clear()
            incident = on_call.falls_ill(project, f"{point[7:]}-{round}")
            died(start("worker", point), point)
            assert Outbox.objects.get(incident=incident).state == "claimed"
            a_claim_later()
            worker = start("worker")
            until(all_sent, 60 * slowness(), "the alert")
            worker.stop(5)
            assert list(on_call.told(hook).values()) == [most], point
            outcomes = Attempt.objects.filter(outbox__incident=incident).order_by("pk")
            assert list(outcomes.values_list("outcome", flat=True)) == ["failed", "sent"], point


def test_killed_between_a_timer_and_its_message(
    project: Project, hook: Hook, start: Started, schedule: Schedule
) -> None:
    """Timer and message are one: whoever dies in between leaves both as they were, and the next does both."""
    on_call.make_webhook(project, hook)
    for round in schedule.rounds(1, 10):
        for point in ("escalation:told", "escalation:moved"):
            hook.posts.clear()
            incident = on_call.falls_ill(project, f"{point[11:]}-{round}")
            Outbox.objects.update(state="sent")
            Escalation.objects.update(due_at=timezone.now())
            beat, worker = start("beat"), start("worker", point)
            died(worker, point)
            assert Outbox.objects.filter(incident=incident).count() == 1
            assert Escalation.objects.get(incident=incident).told == 1
            worker = start("worker")
            until(lambda: on_call.told(hook, "incident.unseen"), 60 * slowness(), "the second page")
            until(all_sent, 30, "its receipt")
            worker.stop(5)
            beat.stop(5)
            assert list(on_call.told(hook, "incident.unseen").values()) == [1], point
            assert Escalation.objects.get(incident=incident).told == 2
            Escalation.objects.update(state="ended")


def test_killed_before_anybody_is_rung(project: Project, hook: Hook, start: Started) -> None:
    """An incident whose process died before it rang is told by the next tick of a beat."""
    on_call.make_webhook(project, hook)
    start("worker")
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        until(lambda: client.get("sickbay:pulse:worker"), 60 * slowness(), "the worker")
    incident = on_call.falls_ill(project)
    Outbox.objects.filter(incident=incident).update(state="waiting")
    start("beat")
    until(all_sent, 60 * slowness(), "the alert")
    assert list(on_call.told(hook).values()) == [1]


def test_two_beats_and_two_workers_tell_once(project: Project, hook: Hook, start: Started) -> None:
    """Each step of each of forty incidents is told once, whoever ticks and whoever sends."""
    on_call.make_webhook(project, hook)
    for name in ("beat", "beat", "worker", "worker"):
        start(name)
    for number in range(40):
        incident = on_call.falls_ill(project, f"agent-{number}")
        Incident.objects.filter(pk=incident.pk).update(title=str(number))
    Escalation.objects.update(due_at=timezone.now())
    until(lambda: len(on_call.told(hook, "incident.unseen")) == 40, 90 * slowness(), "the second pages")
    until(all_sent, 30, "the receipts")
    for about in ("incident.opened", "incident.unseen"):
        assert list(on_call.told(hook, about).values()) == [1] * 40
    assert set(Escalation.objects.values_list("told", flat=True)) == {2}


def test_without_a_worker_beat_sends_and_says_so(
    project: Project, hook: Hook, mailbox: Mailbox, start: Started
) -> None:
    """The worker is gone for good: the page arrives all the same, and every channel hears what is missing."""
    on_call.make_webhook(project, hook)
    beat = start("beat")
    on_call.falls_ill(project)
    until(lambda: on_call.told(hook), 60 * slowness(), "the page")
    until(lambda: on_call.told(hook, "alerting.broken"), 30, "what is missing")
    assert list(on_call.told(hook).values()) == [1]
    assert b"the worker is not felt" in hook.posts[0].body + hook.posts[-1].body
    assert "stands in" in beat.last_words(200)


def test_with_neither_the_page_says_that_alerts_are_late(project: Project, hook: Hook, alice: User) -> None:
    """Nobody is left to send: whoever looks is told in red, on every page, since when."""
    on_call.make_webhook(project, hook)
    on_call.falls_ill(project)
    client = Client()
    client.force_login(alice)
    assert 'id="alerts-late"' not in client.get("/p/main/").content.decode()
    Outbox.objects.update(due_at=timezone.now() - 2 * MINUTE)
    for page in ("/p/main/", "/p/main/incidents/", "/p/main/alerts/"):
        assert 'id="alerts-late"' in client.get(page).content.decode(), page


@pytest.fixture
def broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, str]]:
    """A Valkey of this test's own, to be hung; this process rings by it, too."""
    valkey = Valkey(tmp_path, tmp_path / "valkey.log", choose_url(None), lasting=False)
    valkey.prepare()
    child = valkey.child()
    child.start()
    valkey.wait_until_ready(child)
    monkeypatch.setattr(settings, "CELERY_BROKER_URL", valkey.url)
    outbox._bell.cache_clear()
    try:
        (program,) = (one.pid for one in on_call.family(child) if "valkey-server" in one.name())
        yield program, valkey.url
    finally:
        outbox._bell.cache_clear()
        child.stop(5)


def names(hook: Hook, incident: Incident) -> bool:
    return any(f'"incident":{incident.pk},'.encode() in post.body for post in list(hook.posts))


def test_a_hung_broker_holds_up_no_page(
    project: Project, hook: Hook, mailbox: Mailbox, broker: tuple[int, str], tmp_path: Path
) -> None:
    """Valkey neither answers nor closes: an incident opens at once, pages arrive by beat, each once; when it
    answers again, they are on time again."""
    on_call.make_webhook(project, hook)
    valkey, url = broker
    with on_call.starting(tmp_path / "parts", mailbox, url) as start, redis.Redis.from_url(url) as client:
        start("beat"), start("worker")
        until(lambda: client.get("sickbay:pulse:worker"), 60 * slowness(), "the worker")
        os.kill(valkey, signal.SIGSTOP)
        try:
            began = time.monotonic()
            for number in range(3):
                on_call.falls_ill(project, f"hung-{number}")
            assert time.monotonic() - began < 3 * slowness()
            until(lambda: len(on_call.told(hook)) == 3, 90 * slowness(), "the pages of the hung")
        finally:
            os.kill(valkey, signal.SIGCONT)
        until(all_sent, 60, "every receipt")
        assert list(on_call.told(hook).values()) == [1] * 3
        client.delete("sickbay:pulse:worker")
        until(lambda: client.get("sickbay:pulse:worker"), 30 * slowness(), "the worker's next pulse")
        Incident.objects.update(state="closed")
        healed = on_call.falls_ill(project, "healed")
        until(lambda: names(hook, healed), 2 * slowness(), "the page of the healed")
