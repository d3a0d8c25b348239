"""Rollbacks and races, with real connections."""

from __future__ import annotations

import uuid
from collections import Counter

import pytest
from django.utils import timezone

from agents.models import Command, Decision, Entry, Project, User
from agents.services import audit
from checkpoints import queries
from checkpoints.models import Rollback
from checkpoints.services import aiming, restoring, rollbacks
from checkpoints.services.taking import Writer
from tests.domain import rolling
from tests.domain.rolling import actor, decide, make_desk, order
from tests.domain.test_at_once import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def test_of_two_orders_one_counts(project: Project, alice: User) -> None:
    """Twelve at once make one command and one row; everyone else is told who was first."""
    desk = make_desk(project)
    target = desk.take(1)

    def click(_: int) -> str:
        try:
            return order(alice, project, target).sentence
        except aiming.Refused as refused:
            return refused.error

    assert Counter(at_once(click, 12)) == {"Ordered: obeyed at the next safe point.": 1, "lost": 11}
    assert Rollback.objects.count() == Command.objects.filter(kind="rollback").count() == 1


def test_of_two_decisions_one_counts(project: Project, alice: User) -> None:
    """P8 holds for rolling back as for resuming."""
    desk = make_desk(project)
    desk.take(1)
    incident = desk.pauses()
    version = incident.version
    outcomes = at_once(lambda _: decide(alice, incident, version=version), 12)
    assert Counter(outcome.name for outcome in outcomes) == {"decided": 1, "lost": 11}
    assert Decision.objects.count() == Rollback.objects.count() == 1 and audit.verify().broken is None


def test_two_reports_at_once_end_it_once(project: Project, alice: User) -> None:
    """One entry, one ending, the same answer for both."""
    desk = make_desk(project)
    target, _ = desk.take(1), desk.take(2)
    (row,) = order(alice, project, target).rollbacks
    desk.takes_up()
    said = restoring.Said(state="applied", memory=rolling.hexed(target.memory))
    writer = Writer(project.pk, "refund-desk", "main", desk.wire.epoch or 0)

    def report(_: int) -> str:
        return restoring.progress(writer, row.pk, desk.wire.process, said, timezone.now()).state

    assert set(at_once(report, 8)) == {"verified"}
    assert Entry.objects.filter(kind="rollback").count() == 1


def test_whoever_takes_it_up_or_back_is_first(project: Project, alice: User) -> None:
    """Of the run and the human one wins, and the rollback is never both."""
    desk = make_desk(project)
    for number in range(6):
        (row,) = order(alice, project, desk.take(number)).rollbacks
        command = str(Command.objects.get(rollbacks=row).pk)

        def act(n: int, row: Rollback = row, command: str = command) -> str:
            if n:
                return str(desk.wire.receipt(command, "taken").status_code)
            try:
                return rollbacks.withdraw(
                    actor=actor(alice, project), rollback=row, reason="", now=timezone.now()
                )
            except aiming.Refused as refused:
                return refused.error

        found = set(at_once(act, 2))
        stage = queries.rollbacks().get(pk=row.pk).stage
        assert (stage, found) in [
            ("taken", {"200", "taken_up"}),
            ("withdrawn", {"409", "Withdrawn: no run had taken it up."}),
        ]
        if stage == "taken":
            assert desk.tells(row, "failed", why="try again")["state"] == "failed"


def test_one_row_for_the_agents_own(project: Project) -> None:
    """The same report eight times at once makes one rollback."""
    desk = make_desk(project)
    target, id = desk.take(1), uuid.uuid4()
    said = restoring.Said(state="restoring", asked_by="agent", checkpoint=target.pk)
    writer = Writer(project.pk, "refund-desk", "main", desk.wire.epoch or 0)
    at_once(lambda _: restoring.progress(writer, id, "", said, timezone.now()), 8)
    assert Rollback.objects.get().state == "restoring"
