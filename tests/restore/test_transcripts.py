"""Real transcripts as memories: a checkpoint at every message; any two are compared, any is gone back to."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from agents.models import Agent, Project, User
from checkpoints import store
from checkpoints.diffs import memory
from checkpoints.models import Checkpoint
from checkpoints.services import rollbacks, verifying
from checkpoints.services.aiming import Wanted
from sickbay.tree import record
from sickbay.tree.grow import grow
from sickbay.tree.node import PLAIN_LIMIT
from sickbay.tree.pack import unpack
from sickbay.tree.read import text_of
from sickbay.tree.text import dump, load
from tests.diffs.applying import applied
from tests.diffs.test_memory_diff import Store
from tests.domain.rolling import Desk, actor, make_desk
from tests.faults.schedule import Schedule
from tests.ingest.airline import SHARED

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not (SHARED / "data").exists(), reason="the transcripts are not on this machine"),
]


class Stored(Store):
    """The nodes of a project."""

    def __init__(self, project: Project) -> None:
        super().__init__()
        self._project = project.pk

    def fetch(self, names: list[bytes]) -> dict[bytes, bytes]:
        here = {name: self.nodes[name] for name in names if name in self.nodes}
        return here | store.fetch(self._project, [name for name in names if name not in here])


def runs(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt") as file:
        return [json.loads(line) for line in file]


def memories(run: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What an agent knows after each message."""
    for end in range(1, len(run["messages"]) + 1):
        yield {"messages": run["messages"][:end], "outcome": run["outcome"], "step": end}


@pytest.mark.parametrize(("name", "short"), [("airline", 3), ("teams", 6)])
def test_each_message_is_a_state_to_look_at_and_to_go_back_to(
    project: Project, alice: User, schedule: Schedule, name: str, short: int
) -> None:
    """Each reads back byte by byte; what changed between two leads from one to the other; any is restored."""
    dice, found = schedule.dice(name), runs(SHARED / "data" / f"{name}.jsonl.gz")
    nodes = Stored(project)
    for number, run in enumerate(dice.sample(found, len(schedule.rounds(short, len(found))))):
        desk = make_desk(project, f"{name}-{number}")
        states = list(memories(run))
        rows = [taken(desk, state) for state in states]
        for row, state in zip(rows, states, strict=True):
            assert text_of(root(row), nodes.fetch) == dump(state)
        for _ in schedule.rounds(8, 60):
            one, other = dice.randrange(len(rows)), dice.randrange(len(rows))
            changes = memory.compare(root(rows[one]), root(rows[other]), nodes.fetch).changes
            assert applied(states[one], changes, nodes.read) == states[other], (run["id"], one, other)
        goes_back(desk, project, alice, dice.choice(rows))
    assert verifying.verify(project, timezone.now()).is_whole


def taken(desk: Desk, state: dict[str, Any]) -> Checkpoint:
    answer = desk.taker.take(state)
    assert answer.status_code == 200, answer.content
    return Checkpoint.objects.get(pk=answer.json()["id"])


def root(row: Checkpoint) -> bytes:
    assert row.memory is not None
    return bytes(row.memory)


def goes_back(desk: Desk, project: Project, alice: User, target: Checkpoint) -> None:
    """What an agent on a new machine does: it fetches every node over the wire, and proves what it has."""
    agent = Agent.objects.get(pk=target.agent_id)
    wanted = Wanted(target.pk, "went wrong", even_bad=True)
    who = actor(alice, project)
    (row,) = rollbacks.order(actor=who, agent=agent, wanted=wanted, now=timezone.now()).rollbacks
    text = text_of(root(target), lambda names: over_the_wire(desk, names))
    made = grow(text)
    assert desk.wire.receipt(str(row.command_id), "taken").status_code == 200
    answer = desk.tells(row, "applied", memory=made.root.hex())
    assert answer["verified"], answer
    assert load(text)["step"] == len(load(text)["messages"])


def over_the_wire(desk: Desk, names: list[bytes]) -> dict[bytes, bytes]:
    answer = desk.taker.post("read/", b"".join(names))
    assert answer.status_code == 200
    records = record.read(answer.content)
    return {
        one.name: unpack(one.encoding, one.payload, one.plain_length, None, PLAIN_LIMIT) for one in records
    }
