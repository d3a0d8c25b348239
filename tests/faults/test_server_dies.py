"""The server killed at each place where a checkpoint, an upload or a rollback is half done.

A real agent works on meanwhile: what it asked for comes about once, whole, when the server is back.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import urllib3
from django.utils import timezone

from agents.models import Command, Entry, Project
from checkpoints.models import Checkpoint, Lease, Rollback
from checkpoints.services import verifying
from sickbay import Agent, Run, _safe_points
from tests.builders import make_token
from tests.product import Daphne, running_daphne
from tests.waiting import slowness, until

pytestmark = pytest.mark.django_db(transaction=True)
LARGE = 11 * 1024 * 1024  # bytes of a file that goes ahead of its checkpoint in three requests
UPLOADING = ["uploading:added", "uploading:kept", "uploading:added:2", "uploading:kept"]
TAKING = ["taking:added", "taking:row", "taking:told", "taking:kept"]
REPORTING = ["rollback:told", "rollback:ended", "rollback:told", "rollback:kept"]


@pytest.fixture(scope="module")
def daphne(django_db_setup: None) -> Iterator[Daphne]:
    with running_daphne() as daphne:
        yield daphne


class Desk:
    """An agent of this process whose memory and files say one number, and the server that it speaks to."""

    def __init__(self, daphne: Daphne, project: Project, directory: Path) -> None:
        self.daphne, self.project, self.work = daphne, project, directory / "work"
        self.operator = {"Authorization": f"Bearer {make_token(project, 'operator')}"}
        self.agent = Agent(
            "desk", home=directory / "home", url=daphne.url, token=make_token(project), workspace=self.work,
            memory={"n": 0},
        )  # fmt: skip

    def set(self, n: int, filler: bytes = b"") -> None:
        self.agent.memory["n"] = n
        (self.work / "n.txt").write_text(str(n))
        if filler:
            (self.work / "filler.bin").write_bytes(filler)

    def shows(self) -> set[str]:
        return {str(self.agent.memory["n"]), (self.work / "n.txt").read_text()}

    def start(self, failpoint: str = "") -> None:
        """The server comes back, to die there."""
        process = self.daphne.process
        assert process is not None
        process.env = {**process.env, "SICKBAY_FAILPOINT": failpoint}
        self.daphne.start()
        life = self.agent._life
        if life is not None:
            life.link._sender.hurry()  # as when the socket opens, which may take some seconds

    def died(self, failpoint: str) -> None:
        """The server died there, and what it left is whole."""
        process = self.daphne.process
        assert process is not None and process.process is not None
        until(lambda: not process.is_running(), 30 * slowness(), f"a death at {failpoint}")
        assert process.process.returncode == 137
        self.is_whole()

    def is_whole(self) -> None:
        found = verifying.verify(self.project, timezone.now())
        assert found.is_whole, (found.damaged_nodes, found.damaged)

    def ask(self, path: str, **said: Any) -> Any:
        answer = urllib3.request("POST", f"{self.daphne.url}/api/v1/{path}", headers=self.operator, json=said)
        assert answer.status == 200, answer.data
        return answer.json()


@pytest.fixture
def desk(daphne: Daphne, transactional_db: None, project: Project, tmp_path: Path) -> Desk:
    return Desk(daphne, project, tmp_path)


def taken(id: str) -> bool:
    return Checkpoint.objects.filter(pk=id).exists()


def is_once(id: str) -> bool:
    """One row, one line in the timeline, no lease left."""
    return (
        Entry.objects.filter(kind="checkpoint", ref=id).count() == 1
        and Checkpoint.objects.filter(pk=id).count() == 1
        and not Lease.objects.filter(upload=uuid.UUID(id)).exists()
    )


def test_killed_at_each_place_of_an_upload_and_of_taking(desk: Desk) -> None:
    """P10: however often the server dies over one checkpoint, it is not seen before, and then taken once."""
    with desk.agent.run() as run:
        until(lambda: Checkpoint.objects.count() == 1, 20 * slowness(), "the first checkpoint")
        desk.daphne.kill()
        desk.set(1, random.Random(1).randbytes(LARGE))
        id = run.checkpoint("large").id
        for point in [*UPLOADING, *TAKING]:
            desk.start(point)
            desk.died(point)
            assert taken(id) is (point == "taking:kept"), point
        desk.start()
        until(lambda: is_once(id), 60 * slowness(), "the checkpoint, once")
        assert desk.agent._life is not None
        until(lambda: not desk.agent._life.keeper.packs.waiting(), 20, "the answer")  # type: ignore[union-attr]
    assert Checkpoint.objects.filter(pk=id, files=2).exists()
    assert Checkpoint.objects.count() == Entry.objects.filter(kind="checkpoint").count()
    desk.is_whole()


def test_killed_at_each_place_of_a_rollback(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """P10: ordered once, done once, proven once, however often the server dies while it is told."""
    monkeypatch.setattr(_safe_points, "ASK_AGAIN", 0.5)
    with desk.agent.run() as run:
        desk.set(1)
        id = run.checkpoint("one").id
        until(lambda: taken(id), 20 * slowness(), "the checkpoint")
        desk.set(2)
        desk.daphne.kill()
        desk.start(REPORTING[0])
        desk.ask("agents/desk/rollback/", checkpoint=id, reason="went wrong")
        for point, following in pairwise([*REPORTING, ""]):
            goes_on(desk, run)
            desk.died(point)
            desk.start(following)
        goes_on(desk, run, until_done=True)
        assert desk.shows() == {"1"}
        desk.set(3)
        run.execute(len, "x")
        assert desk.shows() == {"3"}, "it is not done a second time"
    row = Rollback.objects.get()
    assert (row.state, Command.objects.get().state) == ("verified", "done")
    assert Entry.objects.filter(kind="rollback").count() == 1
    assert Checkpoint.objects.filter(label="rolled back to one").count() == 1
    desk.is_whole()


def goes_on(desk: Desk, run: Run, *, until_done: bool = False) -> None:
    """The agent acts until the server has died again, or has heard the end."""
    process = desk.daphne.process
    assert process is not None

    def acted() -> bool:
        run.execute(len, "x")
        done = until_done and Command.objects.filter(state="done").exists()
        return done or not process.is_running()

    until(acted, 30 * slowness(), "the rollback", every=0.1)
