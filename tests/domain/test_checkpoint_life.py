"""The whole life of checkpoints, in any order, against a model that fits on a page.

    take · fail · judge · pin · roll back · give up · undo · retain · sweep · verify

Everything goes through the real services and the database; after each step the two must say the same: which
checkpoints there are, how each stands, what each holds byte by byte, and which is the last known good one.
"""

from __future__ import annotations

import itertools
import uuid
from dataclasses import dataclass
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from agents.models import Agent, Command, Entry, Project, Role, User
from checkpoints import queries, store
from checkpoints.models import Checkpoint, Lease, RetentionPolicy, Rollback
from checkpoints.services import keeping, retention, standing, sweeping, verifying
from sickbay.tree.read import text_of
from sickbay.tree.text import dump, load
from tests.conftest import member
from tests.domain.rolling import Desk, actor, make_desk, names, order
from tests.faults.schedule import Schedule

pytestmark = pytest.mark.django_db
numbered = itertools.count(1)
ANY = st.integers(0, 10**6)
VERDICTS = st.sampled_from(["pass", "fail", "unknown", "none"])


@dataclass
class Row:
    """A checkpoint, as the model knows it. `clean` and `proven` hang over to what descends from it."""

    id: str
    text: bytes
    standing: str
    clean: bool = True
    proven: bool = False
    pinned: bool = False


class Life(RuleBasedStateMachine):
    """One agent. The model is `rows`, oldest first, the one that it goes on from, and the ways back."""

    def __init__(self) -> None:
        super().__init__()
        self.project = Project.objects.create(name=f"life-{next(numbered)}")
        email = f"{self.project.name}@example.com"
        self.alice: User = member(self.project, email, "Alice", Role.OPERATOR)
        self.desk: Desk = make_desk(self.project)
        self.agent = Agent.objects.get(project=self.project)
        RetentionPolicy.objects.create(agent=self.agent, steps=[(1e-6, 0)])  # what nothing needs goes at once
        self.rows: list[Row] = []
        self.parent: Row | None = None
        self.memory: dict[str, Any] = {"said": [], "n": 0}
        self.failing = False
        self.ways: list[tuple[str, str]] = []  # of rollbacks that were ordered: from where, to where
        self.undone: str | None = None

    # — the agent —

    @rule(verdict=VERDICTS, words=st.integers(0, 900))
    def take(self, verdict: str, words: int) -> None:
        self.memory["n"] += 1
        self.memory["said"] = [*self.memory["said"], f"{self.memory['n']} " * words][-40:]
        self._take(verdict)

    @rule()
    def take_without_news(self) -> None:
        self._take("none")

    @rule()
    def fail(self) -> None:
        """From now on a counted failure is open, until a verdict `pass`."""
        self.failing = True

    def _take(self, verdict: str, why: str = "asked") -> Row:
        self.failing = self.failing and verdict != "pass"
        said = {key: int(key == verdict) for key in ("pass", "fail", "unknown")}
        facts = {"failing": self.failing, "verdicts": said}
        answer = self.desk.taker.take(self.memory, facts=facts, why=why)
        assert answer.status_code == 200, answer.content
        before = self.parent
        fresh = before is None or before.standing == "good"
        clean = verdict not in ("fail", "unknown") and (fresh or (before.clean and before.standing != "bad"))  # type: ignore[union-attr]
        proven = verdict == "pass" or (not fresh and before.proven)  # type: ignore[union-attr]
        good = clean and (proven or not self.rows)
        row = Row(answer.json()["id"], dump(self.memory), "good" if good else "unproven", clean, proven)
        if self.failing:
            row.standing = "suspect"
        self.rows.append(row)
        self.parent = row
        return row

    # — people —

    @precondition(lambda self: self.rows)
    @rule(which=ANY, bad=st.booleans())
    def judge(self, which: int, bad: bool) -> None:
        """The newest may be called good; any may be called bad."""
        row = self.rows[which % len(self.rows)] if bad else self.rows[-1]
        verdict = "bad" if bad else "good"
        found = self._found(row.id)
        who = actor(self.alice, self.project)
        standing.judge(actor=who, checkpoint=found, verdict=verdict, reason=f"{which}", now=timezone.now())
        row.standing, row.clean = verdict, not bad

    @precondition(lambda self: self.rows)
    @rule(which=ANY, pinned=st.booleans())
    def pin(self, which: int, pinned: bool) -> None:
        row = self.rows[which % len(self.rows)]
        keeping.pin(
            actor=actor(self.alice, self.project), checkpoint=self._found(row.id), pinned=pinned,
            now=timezone.now(),
        )  # fmt: skip
        row.pinned = pinned

    @precondition(lambda self: self.rows)
    @rule(which=ANY)
    def roll_back(self, which: int) -> None:
        self._roll_back(self.rows[which % len(self.rows)])

    @precondition(lambda self: self.undone is not None)
    @rule()
    def undo(self) -> None:
        """To the state just before the last one, without a tick, though it was condemned."""
        self._roll_back(next(row for row in self.rows if row.id == self.undone), even_bad=False)

    @precondition(lambda self: self.rows)
    @rule(which=ANY)
    def give_up(self, which: int) -> None:
        """The agent says why it could not: nothing has changed."""
        target = self.rows[which % len(self.rows)]
        (row,) = order(self.alice, self.project, self._found(target.id), even_bad=True).rollbacks
        self._takes_up()
        assert self.desk.tells(row, "failed", why="the disk is full")["state"] == "failed"
        self.ways.append(("", target.id))

    def _roll_back(self, target: Row, *, even_bad: bool = True) -> None:
        before = self._take("none", why="rollback")
        (row,) = order(self.alice, self.project, self._found(target.id), even_bad=even_bad).rollbacks
        command = self._takes_up()
        self.desk.tells(row, "restoring", before=before.id)
        answer = self.desk.tells(row, "applied", before=before.id, **names(row))
        assert answer["verified"], answer
        assert self.desk.tells(row, "applied", before=before.id, **names(row)) == answer
        assert self.desk.wire.receipt(str(command.pk), "done").status_code == 200
        if target.standing in ("bad", "suspect"):
            target.standing, target.clean = "unproven", False
        for later in self.rows[self.rows.index(target) + 1 :]:
            later.standing = "bad"
        self.memory, self.parent = load(target.text), target
        self.desk.taker.parent = target.id
        self.failing, self.undone = False, before.id
        self.ways.append((before.id, target.id))

    def _takes_up(self) -> Command:
        command = Command.objects.filter(instance__agent=self.agent, kind="rollback").latest("version")
        assert self.desk.wire.receipt(str(command.pk), "taken").status_code == 200
        return command

    # — the housekeeping —

    @rule()
    def retain(self) -> None:
        """Left: the pinned, the newest, the newest usable, the newest good, and what rollbacks speak of."""
        retention.retain(self.project, timezone.now())
        kept = {row.id for row in self.rows if row.pinned} | {row.id for row in self.rows[-1:]}
        for standings in (("good", "unproven"), ("good",)):
            kept |= {row.id for row in [row for row in self.rows if row.standing in standings][-1:]}
        kept |= {id for way in self.ways for id in way}
        self.rows = [row for row in self.rows if row.id in kept]
        if self.parent is not None and self.parent.id not in kept:
            self.parent = None  # the history begins anew

    @rule()
    def sweep(self) -> None:
        sweeping.sweep(self.project.pk, timezone.now())

    @rule()
    def verify(self) -> None:
        found = verifying.verify(self.project, timezone.now())
        assert found.is_whole, (found.damaged_nodes, found.damaged)
        assert found.checkpoints == len(self.rows)

    # — the same —

    @invariant()
    def they_agree(self) -> None:
        found = list(Checkpoint.objects.filter(agent=self.agent).order_by("at", "id"))
        assert [(str(one.pk), one.standing, one.pinned) for one in found] == [
            (row.id, row.standing, row.pinned) for row in self.rows
        ]
        good = [row.id for row in self.rows if row.standing == "good"]
        last_good = Agent.objects.values_list("last_good", flat=True).get(pk=self.agent.pk)
        assert (str(last_good) if last_good else None) == (good[-1] if good else None)
        told = Entry.objects.filter(project_id=self.project.pk, kind="rollback", outcome="verified").count()
        assert told == Rollback.objects.filter(agent=self.agent, state="verified").count()
        assert not Lease.objects.filter(project=self.project).exists()

    @invariant()
    def all_can_be_read(self) -> None:
        for row in self.rows[-8:]:
            memory = self._found(row.id).memory
            assert memory is not None
            text = text_of(bytes(memory), lambda names: store.fetch(self.project.pk, names))
            assert text == row.text

    def _found(self, id: str) -> Checkpoint:
        found = queries.one(self.project.pk, uuid.UUID(id))
        assert found is not None
        return found


def test_the_whole_life_is_as_the_model_says(db: None, schedule: Schedule) -> None:
    """Whatever comes after whatever: the product and a plain model agree after each step."""
    lives, steps = len(schedule.rounds(5, 200)), len(schedule.rounds(20, 80))
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=lives,
            stateful_step_count=steps,
            deadline=None,
            derandomize=not schedule.is_long,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
