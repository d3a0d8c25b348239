"""A rollback that something is in the way of: through a real agent and the real web server.

Before the plan is written the old state is intact and whoever decided is told why; after it the agent stays
*restoring*, nothing of it runs, the incident names the file, and the next attempt finishes the journal.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from agents.models import Agent as Seen
from agents.models import Command, Entry, Incident, Pause, Project
from checkpoints.models import Checkpoint, Rollback
from sickbay import ActionFailed, Agent, AgentPauseRequired, _safe_points
from tests.builders import make_token
from tests.faults.disks import as_root
from tests.product import Daphne, running_daphne
from tests.waiting import slowness, until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def daphne(django_db_setup: None) -> Iterator[Daphne]:
    with running_daphne() as daphne:
        yield daphne


def breaks() -> None:
    raise ValueError("no such order")


class Desk:
    """An agent whose workspace is a disk of its own; it went wrong, and is paused."""

    def __init__(self, daphne: Daphne, project: Project, base: Path) -> None:
        self.daphne, self.base = daphne, base
        self.disk, self.work = base / "disk", base / "work"
        self.token, self.operator = make_token(project), make_token(project, "operator")
        for directory in (self.disk, self.work):
            directory.mkdir()
        as_root("mount", "-t", "tmpfs", "-o", "size=2m", "none", str(self.disk))
        self.mount()

    def mount(self) -> None:
        as_root("mount", "--bind", str(self.disk), str(self.work))

    def close(self) -> None:
        for where in (self.work, self.disk):
            subprocess.run(["umount", "-l", str(where)], capture_output=True, check=False)

    def agent(self) -> Agent:
        return Agent(
            "desk", home=self.base / "home", url=self.daphne.url, token=self.token, memory={"n": 0},
            workspace=self.work, heal=False,
        )  # fmt: skip

    def goes_wrong(self) -> None:
        """Good at one, then at two; three failures pause it."""
        agent = self.agent()
        with pytest.raises(AgentPauseRequired), agent.run() as run:
            self.write("one")
            agent.memory["n"] = 1
            run.execute(len, "abc", verify=lambda n: n == 3)
            run.checkpoint("one")
            self.write("two")
            agent.memory["n"] = 2
            while True:
                with contextlib.suppress(ActionFailed):
                    run.execute(breaks)
        until(lambda: Checkpoint.objects.filter(why="end").exists(), 30 * slowness(), "its last checkpoint")
        until(lambda: Incident.objects.exists(), 30 * slowness(), "the incident")

    def write(self, word: str) -> None:
        (self.work / "deep").mkdir(exist_ok=True)
        for file in ("a.txt", "deep/b.txt"):
            (self.work / file).write_text(word)

    def shows(self) -> list[str]:
        return [(self.work / file).read_text() for file in ("a.txt", "deep/b.txt")]

    def decide(self) -> None:
        """Roll back and resume, from whatever version is shown by then: what comes late moves it."""
        until(lambda: self._decided(Incident.objects.get()), 20 * slowness(), "the decision", every=0.2)

    def _decided(self, incident: Incident) -> bool:
        target = Checkpoint.objects.get(label="one")
        said = {"decision": "rollback", "version": incident.version, "checkpoint": str(target.pk)}
        answer = urllib3.request(
            "POST", f"{self.daphne.url}/api/v1/incidents/{incident.pk}/decide/",
            headers={"Authorization": f"Bearer {self.operator}"}, json={**said, "reason": "it went wrong"},
        )  # fmt: skip
        return answer.status == 200 and answer.json()["results"][0]["result"] == "ordered"

    def is_refused(self) -> None:
        """It starts, and runs nothing."""
        with pytest.raises(AgentPauseRequired), self.agent().run():
            raise AssertionError("it runs")

    def goes_on(self) -> None:
        """It starts, is where it was to be, and runs."""
        agent = self.agent()
        with agent.run() as run:
            assert (agent.memory, self.shows()) == ({"n": 1}, ["one", "one"])
            assert run.rolled_back is not None and run.execute(len, "abc") == 3
        assert Rollback.objects.order_by("-ordered_at")[0].state == "verified"
        assert Command.objects.order_by("-version")[0].state == "done"
        assert Pause.objects.get(owner="budget").state == "lifted"


@pytest.fixture
def desk(
    daphne: Daphne, transactional_db: None, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desk]:
    monkeypatch.setattr(_safe_points, "ASK_AGAIN", 0.2)
    desk = Desk(daphne, project, tmp_path)
    try:
        desk.goes_wrong()
        yield desk
    finally:
        desk.close()


@contextlib.contextmanager
def full(desk: Desk) -> Iterator[None]:
    """Not one byte is left."""
    filler = desk.disk / ".venv"  # which snapshots leave alone
    filler.mkdir()
    with open(filler / "filler", "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    yield
    (filler / "filler").unlink()


@contextlib.contextmanager
def read_only(desk: Desk) -> Iterator[None]:
    as_root("mount", "-o", "remount,bind,ro", str(desk.work))
    yield
    as_root("mount", "-o", "remount,bind,rw", str(desk.work))


@contextlib.contextmanager
def unmounted(desk: Desk) -> Iterator[None]:
    as_root("umount", str(desk.work))
    yield
    assert os.listdir(desk.work) == [], "nothing was put into the empty mount point"
    desk.mount()


@contextlib.contextmanager
def immutable(desk: Desk) -> Iterator[None]:
    as_root("chattr", "+i", str(desk.disk / "deep" / "b.txt"))
    yield
    as_root("chattr", "-i", str(desk.disk / "deep" / "b.txt"))


BEFORE = [(full, "is too full"), (read_only, "Read-only"), (unmounted, "is its disk mounted")]


@pytest.mark.parametrize(("blocks", "why"), BEFORE, ids=lambda given: getattr(given, "__name__", ""))
def test_before_the_plan_the_old_state_is_intact(desk: Desk, blocks: Any, why: str) -> None:
    """P18: the command failed and says why; the pause waits for another decision, which is then done."""
    desk.decide()
    with blocks(desk):
        desk.is_refused()
    assert desk.shows() == ["two", "two"]
    row, command = Rollback.objects.get(), Command.objects.get(kind="rollback")
    assert (row.state, command.state) == ("failed", "refused") and why in row.why and why in command.why
    assert (Pause.objects.get().state, Incident.objects.get().state) == ("paused", "open")
    assert Seen.objects.get().status == "paused"
    desk.decide()
    desk.goes_on()


def test_after_the_plan_it_stays_restoring_until_it_is_done(desk: Desk) -> None:
    """P10: an immutable file, then no disk: named each time, nothing runs; then the journal is finished."""
    desk.decide()
    with immutable(desk):
        desk.is_refused()
        assert desk.work.joinpath(".sickbay/journal").exists()
        is_restoring("deep/b.txt")
        desk.is_refused()
        is_restoring("deep/b.txt")
        with unmounted(desk):
            desk.is_refused()
            is_restoring("is its disk mounted")
        desk.is_refused()
        is_restoring("deep/b.txt")
    desk.goes_on()
    assert not desk.work.joinpath(".sickbay/journal").exists()
    assert Entry.objects.filter(kind="rollback", outcome="verified").count() == 1


def is_restoring(named: str) -> None:
    """Shown so, with what is in the way; the rollback is neither over nor done anew."""
    row = Rollback.objects.get()
    assert (row.state, Seen.objects.get().status) == ("restoring", "restoring")
    assert named in row.why
    told = Entry.objects.filter(kind="rollback", outcome="restoring").order_by("at")
    assert named in told.reverse()[0].title
