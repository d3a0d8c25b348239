"""Failure groups and minutes: what means the same is one; what happened in a minute is one bar."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from agents.models import Agent, FailureGroup, Minute, Project
from agents.services import failures, minutes, partitions
from agents.services.failures import FailureSeen
from tests.domain import cast
from tests.domain.cast import MINUTE, NOW


def seen(message: str = "", name: str = "search", exception: str | None = None, **more: str) -> FailureSeen:
    return FailureSeen(
        1, name, more.get("failure", "error"), exception, message, more.get("fingerprint"), NOW
    )


ALIKE = [
    (seen("order 17 not found"), seen("order 4711 not found")),
    (seen("no file 'a.txt'"), seen("no file 'b.txt'")),
    (seen("at 0x7f00 in f"), seen("at 0x1234 in f")),
    (seen("id 123e4567-e89b-12d3-a456-426614174000"), seen("id 00000000-e89b-12d3-a456-426614174000")),
    (seen("one thing", exception="KeyError"), seen("another thing", exception="KeyError")),
    (seen("a", fingerprint="same"), seen("b", name="write", exception="X", fingerprint="same")),
]
DIFFERENT = [
    (seen("not found"), seen("not allowed")),
    (seen("x", name="search"), seen("x", name="write")),
    (seen("x", exception="KeyError"), seen("x", exception="ValueError")),
    (seen("x", fingerprint="a"), seen("x", fingerprint="b")),
    (seen("x", failure="error"), seen("x", failure="verification")),
]


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_what_means_the_same_has_one_fingerprint(one: FailureSeen, other: FailureSeen) -> None:
    """Numbers, ids and quoted words do not part two failures; a name and an exception join them."""
    assert failures.fingerprint(one) == failures.fingerprint(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_differs_has_two(one: FailureSeen, other: FailureSeen) -> None:
    """Another action, exception, word or kind of failure is another sickness."""
    assert failures.fingerprint(one) != failures.fingerprint(other)


@pytest.mark.django_db
def test_a_group_counts_over_all_agents(project: Project) -> None:
    """Two agents with one failure move one count, with the first and the last time."""
    first, second = cast.worker(project, "a"), cast.worker(project, "b")
    cast.fails(first)
    cast.fails(second, now=NOW + MINUTE)
    group = FailureGroup.objects.get()
    assert (group.failures, group.first_seen, group.last_seen) == (2, NOW, NOW + MINUTE)
    assert group.title == "issue_refund: ValueError"


@pytest.mark.django_db
def test_bars_are_drawn_when_their_minute_closes(project: Project) -> None:
    """Sixty pairs, the newest last; the running minute is not in them; nothing changes until it closes."""
    agent = cast.make_agent(project)
    minute = NOW.replace(second=0)
    minutes.add(agent.pk, {minute: (2, 1), minute - 59 * MINUTE: (1, 0)})
    minutes.add(agent.pk, {minute: (1, 0)})
    assert Minute.objects.get(at=minute).ok == 3
    assert minutes.close(NOW + MINUTE) == 1
    bars = json.loads(Agent.objects.get().bars)
    assert (len(bars), bars[0], bars[-1]) == (60, [1, 0], [3, 1])
    version = Agent.objects.get().version
    assert minutes.close(NOW + MINUTE) == 0 and Agent.objects.get().version == version
    assert minutes.close(NOW + 120 * MINUTE) == 1 and Agent.objects.get().bars == ""


@pytest.mark.django_db
def test_partitions_are_made_ahead_once() -> None:
    """A week ahead exists; a second look makes nothing."""
    later = NOW + dt.timedelta(days=400)
    assert partitions.ensure(later) == 9
    assert partitions.ensure(later) == 0
