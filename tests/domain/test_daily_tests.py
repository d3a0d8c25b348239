"""The daily test of a channel: once a day, and a channel that does not take it is told of by another."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from agents.models import AlertTarget, Outbox, Project
from agents.services import broken, cards, sending, targets
from tests.domain import receivers
from tests.domain.cast import NOW
from tests.domain.receivers import Hook

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def hook(settings: Any) -> Iterator[Hook]:
    settings.ALERT_ALLOW_CIDRS = ["127.0.0.0/8"]
    with receivers.web_server() as hook:
        yield hook


def make_target(project: Project, label: str, **fields: Any) -> AlertTarget:
    fields = {"kind": "email", "address": f"{label}@example.com", **fields}
    return AlertTarget.objects.create(project=project, label=label, **fields)


def tries_all(now: dt.datetime) -> dt.datetime:
    """The worker at work for five minutes from now."""
    for _ in range(20):
        sending.send_due(lambda at=now: at)
        now += dt.timedelta(seconds=15)
    return now


@pytest.mark.parametrize(
    ("hour", "enabled", "tested"), [(3, True, 1), (4, True, 0), (None, True, 0), (0, True, 1), (3, False, 0)]
)
def test_it_is_due_from_its_hour_on(project: Project, hour: int | None, enabled: bool, tested: int) -> None:
    """From the hour on that was chosen, if a beat was late for it too; a channel that is off rests."""
    make_target(project, "ops", daily_hour=hour, enabled=enabled)
    assert broken.put_daily(NOW) == tested


def test_it_comes_once_a_day(project: Project) -> None:
    """However often this looks, and again on the next day, not before its hour."""
    make_target(project, "ops", daily_hour=3)
    later = (NOW, NOW + HOUR, NOW + 20 * HOUR, NOW + DAY - HOUR, NOW + DAY, NOW + DAY + HOUR)
    assert [broken.put_daily(now) for now in later] == [1, 0, 0, 0, 1, 0]


def test_looking_costs_the_same_for_any_number(project: Project, django_assert_num_queries: Any) -> None:
    """Once today's are written, two queries, for one channel or for many."""
    for number in range(10):
        make_target(project, f"ops-{number}", daily_hour=3)
    assert broken.put_daily(NOW) == 10
    with django_assert_num_queries(2):
        broken.put_daily(NOW + HOUR)


def test_a_channel_that_takes_it_shows_its_heartbeat(project: Project, settings: Any) -> None:
    """It is a message like any other, says that it is a test, and leaves the time."""
    target = make_target(project, "ops", daily_hour=3)
    with receivers.mail_server() as mailbox:
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", mailbox.port
        broken.put_daily(NOW)
        assert sending.send_due(lambda: NOW) == 1
    target.refresh_from_db()
    assert (target.heard_at, target.failed_at) == (NOW, None)
    assert "the daily test" in str(mailbox.messages[0].get_payload(decode=True), "utf-8")


def test_a_channel_that_does_not_take_it_is_told_of_by_another(project: Project, settings: Any) -> None:
    """After three tries: the first other channel says which one is broken and why; nobody is told twice."""
    make_target(project, "off", enabled=False)
    silent = make_target(project, "pager", kind="webhook", address="http://127.0.0.1:9/x", daily_hour=3)
    make_target(project, "ops")
    with receivers.mail_server() as mailbox:
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", mailbox.port
        broken.put_daily(NOW)
        tries_all(NOW)
    silent.refresh_from_db()
    assert silent.failed_at == NOW and silent.failed_why
    (message,) = mailbox.messages
    assert message["To"] == "ops@example.com"
    assert "pager does not take its daily test" in str(message["Subject"]).replace("\r\n", "")
    assert Outbox.objects.get(about="daily").attempts == 3


def test_where_the_other_is_broken_too_the_next_is_told(project: Project, hook: Hook, settings: Any) -> None:
    """From channel to channel until one takes it."""
    settings.EMAIL_HOST = ""
    make_target(project, "pager", kind="webhook", address="http://127.0.0.1:9/x", daily_hour=3)
    make_target(project, "mail")
    good = make_target(project, "good", kind="webhook", address=hook.url)
    good.secret = targets.encrypt(targets.new_secret())
    good.save()
    broken.put_daily(NOW)
    tries_all(NOW)
    (post,) = hook.posts
    assert b'"alerting.broken"' in post.body and b"pager does not take" in post.body


def test_alone_it_tells_nobody(project: Project) -> None:
    """With no other channel the page is all there is."""
    make_target(project, "mail", daily_hour=3)
    broken.put_daily(NOW)
    tries_all(NOW)
    assert not Outbox.objects.filter(about="broken").exists()


def test_a_test_of_the_day_wakes_nobody_at_pagerduty(project: Project) -> None:
    """It proves the key by an event that closes what is not open; one that was ordered rings."""
    target = make_target(project, "pd", kind="pagerduty")
    rows = [Outbox.objects.create(target=target, about=about, key=about) for about in ("daily", "test")]
    assert [cards.message(row).is_over for row in rows] == [True, False]


def test_a_part_that_is_missing_is_told_once_an_hour(project: Project) -> None:
    """Every channel that is on hears of a dead worker, once an hour however often beat stands in."""
    make_target(project, "ops")
    make_target(project, "off", enabled=False)
    moments = (NOW, NOW + dt.timedelta(minutes=5), NOW + HOUR)
    assert [broken.tell_of_part("worker", now) for now in moments] == [1, 0, 1]
