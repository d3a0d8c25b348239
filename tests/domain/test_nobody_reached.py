"""Steps that would reach nobody: people and projects without a way, a night in which the clocks change."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import connection

from agents.models import AlertTarget, Outbox, Project, User
from agents.services import alerts, escalating, sending
from tests.domain import cast
from tests.domain.cast import NOW
from tests.domain.test_escalation import make_channel, make_policy, make_rota, step, told, whom

pytestmark = pytest.mark.django_db


def test_who_turned_every_way_off_is_a_gap(project: Project, bob: User) -> None:
    """They are not written to against their will; every channel is told, and why."""
    channel = make_channel(project, "ops")
    make_channel(project, "bobs", person=bob, enabled=False)
    make_policy(project, step(whom("person", bob)))
    cast.spends_its_budget(cast.worker(project))
    row = Outbox.objects.get()
    assert row.target == channel and "so every channel is told" in row.why


def test_who_has_no_way_is_told_by_their_address_and_then_by_a_channel(project: Project, bob: User) -> None:
    """Without a mail server that address takes nothing: the next in line is a channel."""
    make_channel(project, "ops")
    make_policy(project, step(whom("person", bob)))
    cast.spends_its_budget(cast.worker(project))
    assert told() == [bob.email]
    sending.send_due(lambda: NOW)
    assert told() == [bob.email, "ops@example.com"]


def test_with_no_channel_at_all_it_says_that_nobody_was_told(project: Project, bob: User) -> None:
    """The incident opens all the same, its timers go on, and the page says it in red."""
    make_channel(project, "bobs", person=bob, enabled=False)
    make_policy(project, step(whom("person", bob)), repeats=1)
    cast.spends_its_budget(cast.worker(project))
    assert escalating.run_due(NOW + dt.timedelta(minutes=5)) == 1
    assert not Outbox.objects.exists()
    assert alerts.told(cast.only_incident()).state == "nobody"


@pytest.mark.parametrize(("minutes", "who"), [(0, "alice"), (31, "bob"), (61, "bob"), (121, "bob")])
def test_in_the_hour_that_comes_twice_one_person_is_told(
    project: Project, alice: User, bob: User, minutes: int, who: str
) -> None:
    """Handed over at half past two of the night in which the clocks go back: bob has it from then on, also
    when it is two again."""
    two = dt.datetime(2026, 10, 25, 0, 0, tzinfo=dt.UTC)  # 02:00 in Berlin, an hour before it is 02:00 again
    rota = make_rota(
        project, alice, bob, zone="Europe/Berlin", starts_on=dt.date(2026, 10, 24), hand_over=dt.time(2, 30),
        every_days=1,
    )  # fmt: skip
    make_policy(project, step(whom("schedule", rota)))
    cast.spends_its_budget(cast.worker(project), now=two + dt.timedelta(minutes=minutes))
    assert told() == [f"{who}@example.com"]


def test_whoever_was_deleted_takes_their_ways_along(project: Project, bob: User) -> None:
    """What waits for somebody who is gone waits no more, and their incident is told to a channel."""
    make_channel(project, "ops")
    make_policy(project, step(whom("person", bob)), step(whom("person", bob)))
    cast.spends_its_budget(cast.worker(project))
    bob.delete()
    assert not AlertTarget.objects.filter(person__isnull=False).exists() and not Outbox.objects.exists()
    escalating.run_due(NOW + dt.timedelta(minutes=5))
    assert told() == ["ops@example.com"]
    connection.check_constraints()
