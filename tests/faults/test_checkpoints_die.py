"""Agent, web server and worker killed at random while checkpoints are taken, thinned and gone back to.

The agent's ledger, its files and the database are compared at the end: no state is a mixture, nothing that
was taken is lost or there twice, every node is there, and what was ordered was done once.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from celery import Celery
from django.conf import settings
from django.utils import timezone

from agents.models import Agent, Command, Entry, Project
from checkpoints import store
from checkpoints.models import Checkpoint, Lease, RetentionPolicy, Rollback
from checkpoints.services import verifying
from dashboard.embedded.children import Child
from sickbay.tree.directory import IN_PLACE, SUBDIRECTORY, entries_in, entries_of
from sickbay.tree.directory import Entry as Found
from sickbay.tree.read import data_of, text_of
from sickbay.tree.text import load
from tests.builders import make_token
from tests.faults.schedule import Schedule
from tests.product import ROOT, Daphne, database_url, running_daphne
from tests.waiting import slowness, until

pytestmark = pytest.mark.django_db(transaction=True)
DRIVER = Path(__file__).with_name("keeper_driver.py")
GOING_BACK = ["rollback:recorded", "restore:after_plan", "rollback:memory", "restore:put:2", "rollback:done"]
VICTIMS = ["agent", "agent", "agent", "web", "worker"]
OPEN = ("ordered", "taken", "restoring", "applied")


@pytest.fixture
def daphne(django_db_setup: None) -> Iterator[Daphne]:
    with running_daphne() as daphne:
        yield daphne


@pytest.fixture
def worker(transactional_db: None, tmp_path: Path) -> Iterator[Child]:
    """The real worker, on the tests' servers."""
    command = [sys.executable, "-m", "celery", "-A", "dashboard", "worker", "--without-gossip"]
    env = {"SICKBAY_DATABASE_URL": database_url(), "SICKBAY_REDIS_URL": settings.REDIS_URL}
    log = tmp_path / "worker.log"
    child = Child("worker", [*command, "--without-mingle", "--concurrency", "1"], log=log, cwd=ROOT, env=env)
    child.start()
    yield child
    child.stop(2)


class Ground:
    """An agent that takes one checkpoint after another, the parts that may die, and what was promised."""

    def __init__(self, daphne: Daphne, worker: Child, project: Project, base: Path) -> None:
        self.daphne, self.worker, self.project = daphne, worker, project
        self.work, self.ledger = base / "work", base / "ledger"
        self.ledger.touch()
        self.operator = {"Authorization": f"Bearer {make_token(project, 'operator')}"}
        self.env = {
            **os.environ, "SICKBAY_URL": daphne.url, "SICKBAY_TOKEN": make_token(project),
            "SICKBAY_HOME": str(base / "home"),
        }  # fmt: skip
        self.agent: subprocess.Popen[bytes] | None = None
        self.ordered: list[str] = []

    def start(self, failpoint: str = "") -> None:
        env = {**self.env, "SICKBAY_FAILPOINT": failpoint}
        command = [sys.executable, str(DRIVER), "keeper", str(self.work), str(self.ledger)]
        with self.ledger.with_name("agent.log").open("ab") as log:
            self.agent = subprocess.Popen(command, env=env, stderr=log)

    def kill(self, victim: str) -> None:
        """SIGKILL, and the start that a supervisor would make."""
        if victim == "agent":
            assert self.agent is not None
            self.agent.kill()
            self.agent.wait()
            self.start()
        elif victim == "web":
            self.daphne.kill()
            self.daphne.start()
        else:
            assert self.worker.process is not None
            os.killpg(self.worker.process.pid, signal.SIGKILL)
            self.worker.process.wait()
            self.worker.start()

    def taken(self) -> int:
        """How many the agent has told of; it must be there to tell."""
        assert self.agent is not None
        assert self.agent.poll() is None, self.ledger.with_name("agent.log").read_text()[-2000:]
        return len(self.said("taken"))

    def said(self, word: str) -> list[list[str]]:
        lines = [
            line.split()
            for line in self.ledger.read_text().splitlines()
            if line.endswith(tuple("0123456789-n"))
        ]
        return [line[1:] for line in lines if line[0] == word]

    def order(self, dice: random.Random) -> None:
        """A human goes back to some checkpoint; being told that one is under way is an answer, too."""
        known = list(
            Checkpoint.objects.filter(label__startswith="n").order_by("-at").values_list("pk", flat=True)[:20]
        )
        if known:
            said = {"checkpoint": str(dice.choice(known)), "reason": "went wrong", "even_bad": True}
            with contextlib.suppress(urllib3.exceptions.HTTPError):
                answer = urllib3.request(
                    "POST", f"{self.daphne.url}/api/v1/agents/keeper/rollback/", headers=self.operator,
                    json=said, retries=False, timeout=10,
                )  # fmt: skip
                assert answer.status in (200, 404, 409), answer.data
                if answer.status == 200:
                    self.ordered += [row["id"] for row in answer.json()["rollbacks"]]

    def retain(self) -> None:
        """What the alarm clock does every quarter of an hour."""
        with Celery(broker=settings.REDIS_URL) as clock:
            clock.conf.broker_transport_options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
            clock.send_task("checkpoints.tasks.retain")

    def settle(self) -> None:
        """Everybody lives, and what was begun comes to its end."""
        until(
            lambda: not Rollback.objects.filter(state__in=OPEN).exists(), 60 * slowness(),
            "the last rollback", every=0.2,
        )  # fmt: skip
        (self.work.parent / "rest").touch()
        ids = {id for id, _ in self.said("taken")}
        until(lambda: ids <= _told(), 120 * slowness(), "what was taken", every=0.5)
        assert self.agent is not None
        self.agent.terminate()
        self.agent.wait(60)


def _told() -> set[str]:
    """The checkpoints that the timeline tells of."""
    return set(Entry.objects.filter(kind="checkpoint").values_list("ref", flat=True))


def numbers(checkpoint: Checkpoint) -> set[str]:
    """Every number that a checkpoint says: its memory's, and each file's."""

    def fetch(names: list[bytes]) -> dict[bytes, bytes]:
        return store.fetch(checkpoint.project_id, names)

    def inside(entries: list[Found]) -> Iterator[str]:
        for entry in entries:
            if entry.kind in (SUBDIRECTORY, IN_PLACE):
                within = entry.kind == IN_PLACE
                yield from inside(
                    entries_in(entry.body) if within else entries_of(fetch([entry.name])[entry.name])
                )
            elif entry.filename != b"large.bin":
                yield data_of(entry.name, fetch).decode().partition("\n")[0]
            elif data_of(entry.name, fetch) != random.Random(int(said)).randbytes(40_000):
                yield f"{entry.filename.decode()} does not say {said}"

    assert checkpoint.memory is not None and checkpoint.workspace is not None
    memory: Any = load(text_of(bytes(checkpoint.memory), fetch))
    said = str(memory["n"])
    root = bytes(checkpoint.workspace)
    return {said, *inside(entries_of(fetch([root])[root]))}


@pytest.fixture
def ground(daphne: Daphne, worker: Child, project: Project, tmp_path: Path) -> Iterator[Ground]:
    ground = Ground(daphne, worker, project, tmp_path)
    ground.start()
    yield ground
    assert ground.agent is not None
    ground.agent.kill()
    ground.agent.wait()


def test_an_ordered_rollback_is_done_once_whoever_dies_over_it(ground: Ground, schedule: Schedule) -> None:
    """P10: taken by one process and finished by the next, it is proven, told to the server, and over."""
    until(ground.taken, 60 * slowness(), "the first checkpoint")
    for point in GOING_BACK if schedule.is_long else GOING_BACK[-2:]:
        dies_over_a_rollback(ground, point)
    ground.settle()
    judged(ground)


def dies_over_a_rollback(ground: Ground, point: str) -> None:
    assert ground.agent is not None
    ground.agent.kill()
    ground.agent.wait()
    ground.start(point)
    known, more = len(ground.ordered), len(ground.said("taken")) + 3
    until(lambda: len(ground.said("taken")) >= more, 60 * slowness(), f"work before {point}")
    dice = random.Random(point)
    until(lambda: ground.order(dice) or len(ground.ordered) > known, 30 * slowness(), "the order", every=0.5)
    assert ground.agent.wait(60 * slowness()) == 137, point
    ground.start()
    rows = Rollback.objects.filter(pk=ground.ordered[-1], state="verified")
    until(rows.exists, 60 * slowness(), f"the end after {point}")


def test_killed_at_random_nothing_is_mixed_lost_or_done_twice(ground: Ground, schedule: Schedule) -> None:
    """P10: agent, web server and worker are killed again and again: every state is whole, all of it once."""
    dice = schedule.dice("checkpoints")
    until(ground.taken, 60 * slowness(), "the first checkpoint")
    until(lambda: Agent.objects.filter(name="keeper").exists(), 30 * slowness(), "the agent")
    RetentionPolicy.objects.create(agent=Agent.objects.get(), steps=[(5, 0), (None, 20)])
    for number in schedule.rounds(8, 200):
        at_least = ground.taken() + dice.randrange(1, 6)
        if number % 2:
            ground.order(dice)
        if number % 3 == 0:
            ground.retain()
        until(lambda: ground.taken() >= at_least, 60 * slowness(), f"work, round {number}")  # noqa: B023
        ground.kill(victim := dice.choice(VICTIMS))
        print(number, victim)
    ground.settle()
    judged(ground)


def judged(ground: Ground) -> None:
    """The ledgers, the files and the database agree."""
    found = verifying.verify(ground.project, timezone.now())
    assert found.is_whole, (found.damaged_nodes, found.damaged)
    entries = Counter(Entry.objects.filter(kind="checkpoint").values_list("ref", flat=True))
    assert set(entries.values()) == {1}, "taken once"
    assert all(entries[id] == 1 for id, _ in ground.said("taken"))
    # What was there just before a rollback may be what a death in the middle of the agent's own writing left.
    mixed = {
        str(one.pk): said
        for one in Checkpoint.objects.exclude(label__in=("", "before the rollback"))
        if len(said := numbers(one)) != 1 or (one.label[1:].isdigit() and said != {one.label[1:]})
    }
    assert mixed == {}
    backs = ground.said("back")
    assert all(len(set(numbers)) == 1 for _, _, *numbers in backs), backs
    assert max(Counter(before for _, before, *_ in backs).values(), default=1) == 1, "executed once"
    rows = list(Rollback.objects.all())
    states = Counter(row.stage for row in rows)
    print(states, f"{len(backs)} told")
    assert {str(row.pk) for row in rows} >= set(ground.ordered) and states["verified"] > 0
    assert set(states) <= {"verified", "refused", "overtaken", "failed"}, states
    assert Entry.objects.filter(kind="rollback", outcome="verified").count() == states["verified"]
    assert not Command.objects.filter(state__in=("ordered", "taken")).exists()
    assert not Lease.objects.exists()
