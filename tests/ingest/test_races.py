"""Two real connections at once: whoever comes second waits for the first, and is told what it did."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from agents.models import Agent, Entry, FailureGroup, Instance, Project, Run, User
from tests.builders import Wire, action, failure, make_token, order_pause

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def token(project: Project) -> str:
    return make_token(project)


def at_once(*jobs: Callable[[], Any]) -> list[Any]:
    """Each job in a thread with a connection of its own, started together."""
    barrier, answers = threading.Barrier(len(jobs)), [None] * len(jobs)

    def run(i: int) -> None:
        try:
            barrier.wait()
            answers[i] = jobs[i]()
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[i]) for i in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return answers


@pytest.mark.parametrize("_", range(5))
def test_the_same_batch_twice_at_once_is_stored_once(token: str, _: int) -> None:
    """A retry that overtakes its first try finds it stored."""
    wire = Wire(token)
    wire.register()
    events = [action(f"a{i}") for i in range(50)]
    body = wire.batch(*events)
    answers = at_once(*[lambda: wire.post("/api/v1/events/", body).json()] * 4)
    assert sorted(answer["stored"] for answer in answers) == [0, 0, 0, 50]
    assert sorted(answer["duplicates"] for answer in answers) == [0, 50, 50, 50]
    assert Entry.objects.filter(run_id=wire.run).count() == 50


def test_overlapping_batches_out_of_order_leave_no_hole(token: str) -> None:
    """Whatever arrives first, each event is stored once and no gap stays."""
    wire = Wire(token)
    wire.register()
    events = [action(f"a{i}") for i in range(40)]
    starts = [1, 11, 21, 6, 16, 26]
    at_once(*[lambda s=s: wire.post_events(*events[s - 1 : s + 14], first=s) for s in starts])
    run = Run.objects.get(pk=wire.run)
    assert (run.acked, run.gaps) == (40, [])
    seqs = Entry.objects.filter(run_id=wire.run).order_by("seq").values_list("seq", flat=True)
    assert list(seqs) == list(range(1, 41))


def test_two_starts_at_once_get_two_epochs(token: str) -> None:
    """Of two processes that start together one is the newest, and the other is fenced."""
    wires = [Wire(token) for _ in range(4)]
    answers = at_once(*[wire.register for wire in wires])
    assert sorted(answer.json()["epoch"] for answer in answers) == [1, 2, 3, 4]
    assert (Agent.objects.count(), Instance.objects.count()) == (1, 1)
    fenced = [wire.post_events(action()).json()["fenced"] for wire in wires]
    assert sorted(fenced) == [False, True, True, True]


def test_one_command_is_taken_by_one_process(token: str, alice: User, project: Project) -> None:
    """Two processes that ask to obey the same command: one may."""
    first = Wire(token)
    first.register()
    order_pause(alice, project)
    [command] = first.commands().json()["commands"]
    second = Wire(token, epoch=first.epoch)
    answers = at_once(lambda: first.receipt(command["id"]), lambda: second.receipt(command["id"]))
    assert sorted(answer.status_code for answer in answers) == [200, 409]


def test_instances_that_fail_alike_do_not_block_each_other(token: str) -> None:
    """Groups, minutes and versions are shared rows, taken in one order."""
    wires = [Wire(token, instance=f"worker-{i}") for i in range(4)]
    for wire in wires:
        wire.register()
    sick = [failure("search", exception=name) for name in ("A", "B", "C")]

    def post(wire: Wire, turn: int) -> int:
        events = sick if turn % 2 else sick[::-1]
        return wire.post_events(*events).status_code

    assert at_once(*[lambda w=w, i=i: post(w, i) for i, w in enumerate(wires)]) == [200] * 4
    assert sorted(FailureGroup.objects.values_list("failures", flat=True)) == [4, 4, 4]
