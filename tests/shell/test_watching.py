"""`sickbay watch` against the real web server: a program without a line of ours, and a human who decides."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from agents.models import Entry, Project
from checkpoints.models import Checkpoint, Rollback
from sdk.tests.command import SICKBAY, Shell
from tests.builders import make_token
from tests.product import Daphne
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)
# It works while its rates are right, and says when it starts and with what guidance.
PROGRAM = """
import os, pathlib, sys, time
work = pathlib.Path(sys.argv[1])
with (work / "starts").open("a") as starts:
    starts.write(os.environ.get("SICKBAY_GUIDANCE", "-") + "\\n")
while (work / "rates").read_text() == "right":
    time.sleep(0.05)
sys.exit("the rates are wrong")
"""


class Watched:
    """The watched program, and what an operator does about it."""

    def __init__(self, daphne: Daphne, project: Project, base: Path) -> None:
        self.base, self.work = base, base / "work"
        self.work.mkdir()
        self.rates = self.work / "rates"
        self.rates.write_text("right")
        self.url = f"{daphne.url}/api/v1"
        self.headers = {"Authorization": f"Bearer {make_token(project, 'operator')}"}
        self.env = {
            **os.environ, "SICKBAY_URL": daphne.url, "SICKBAY_TOKEN": make_token(project),
            "SICKBAY_HOME": str(base / "home"),
        }  # fmt: skip

    @contextlib.contextmanager
    def running(self, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        words = ["watch", "bot", "--workspace", str(self.work), *options, "--"]
        command = [*SICKBAY, *words, sys.executable, "-c", PROGRAM, str(self.work)]
        process = subprocess.Popen(command, env=self.env, start_new_session=True)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)

    def starts(self) -> list[str]:
        path = self.work / "starts"
        return path.read_text().splitlines() if path.exists() else []

    def ask(self, method: str, path: str, **said: Any) -> Any:
        more = {"json": said} if said else {}
        answer = urllib3.request(method, f"{self.url}/{path}", headers=self.headers, **more)
        assert answer.status == 200, answer.data
        return answer.json()

    def status(self) -> str:
        answer = urllib3.request("GET", f"{self.url}/agents/bot/", headers=self.headers)
        return str(answer.json()["status"]) if answer.status == 200 else "unknown"

    def incident(self) -> Any:
        found = self.ask("GET", "incidents/?state=open")["incidents"]
        return found[0] if found else None

    def decide(self, verb: str, **more: Any) -> None:
        """As a person does: what has moved on meanwhile is read again."""
        until(lambda: self._decided(verb, more), 30, verb)

    def _decided(self, verb: str, more: dict[str, Any]) -> bool:
        incident = self.incident()
        if incident is None:
            return False
        said = {"decision": verb, "version": incident["version"], "reason": "because", **more}
        path = f"{self.url}/incidents/{incident['id']}/decide/"
        answer = urllib3.request("POST", path, headers=self.headers, json=said)
        assert answer.status in (200, 409), answer.data
        return answer.status == 200


@pytest.fixture
def watched(daphne: Daphne, transactional_db: None, project: Project, tmp_path: Path) -> Watched:
    return Watched(daphne, project, tmp_path)


def test_three_crashes_wait_for_a_human_and_go_on(watched: Watched) -> None:
    """The pause reaches the server with the crashes; the program starts again with the human's guidance."""
    watched.rates.write_text("wrong")
    with watched.running():
        until(lambda: watched.status() == "paused", 60, "the pause")
        assert watched.starts() == ["-"] * 3
        failures = Entry.objects.filter(kind="failure")
        assert {failure.outcome for failure in failures} == {"crash"} and failures.count() == 3
        assert "the rates are wrong" in failures[0].title
        watched.rates.write_text("right")
        watched.decide("resume", guidance="the rates are right now")
        until(lambda: watched.starts()[3:] == ["the rates are right now"], 60, "the next start")
        until(lambda: watched.status() in ("probation", "running"), 30, "going on")


def test_the_files_go_back_while_the_program_is_down(watched: Watched, shell: Shell) -> None:
    """By the shell, and with the decision of the incident: the program finds what was good."""
    with watched.running():
        until(watched.starts, 60, "the start")
        good = until(lambda: Checkpoint.objects.filter(standing="good").first(), 30)
        watched.rates.write_text("wrong")
        until(lambda: watched.status() == "paused", 60, "the pause")
        starts = len(watched.starts())
        done = shell.run("rollback", "bot", str(good.pk), "--yes", "--wait")
        assert done.returncode == 0 and "main: verified" in done.stdout, done
        assert watched.rates.read_text() == "right" and watched.status() == "paused"
        watched.rates.write_text("wrong again")
        watched.decide("rollback", checkpoint=str(good.pk))
        until(lambda: watched.rates.read_text() == "right", 60, "the files")
        until(lambda: watched.starts() == ["-"], 60, "one start, in the file that went back too")
        assert starts == 3
        assert [row.state for row in Rollback.objects.order_by("ordered_at")] == ["verified", "verified"]


def test_a_human_stops_it_at_once(watched: Watched) -> None:
    """A pause stops the program, which is no failure; a decision starts it; a stop ends the watch with 0."""
    with watched.running() as watch:
        until(watched.starts, 60, "the start")
        until(lambda: watched.status() == "running", 30)
        watched.ask("POST", "agents/bot/pause/", reason="let me look")
        until(lambda: watched.status() == "paused", 30, "the pause")
        assert not Entry.objects.filter(kind="failure").exists() and len(watched.starts()) == 1
        watched.decide("resume")
        until(lambda: len(watched.starts()) == 2, 30, "the next start")
        watched.ask("POST", "agents/bot/pause/", reason="no more")
        watched.decide("stop")
        assert watch.wait(60) == 0
    assert len(watched.starts()) == 2


def test_a_program_may_be_let_to_its_end(watched: Watched) -> None:
    """With --on-pause finish a pause names what still runs, and what ends is not started again."""
    with watched.running("--on-pause", "finish"):
        until(watched.starts, 60, "the start")
        until(lambda: watched.status() == "running", 30)
        watched.ask("POST", "agents/bot/pause/", reason="after this one")
        until(lambda: watched.status() == "pausing", 30, "the pause")
        watched.rates.write_text("wrong")
        until(lambda: watched.status() == "paused", 30, "its end")
        assert len(watched.starts()) == 1


def test_a_rollback_stops_a_running_program_first(watched: Watched, shell: Shell) -> None:
    """It goes on from there by itself, and nothing was a failure."""
    with watched.running("--checkpoint-every", "0.2"):
        until(watched.starts, 60, "the start")
        good = until(lambda: Checkpoint.objects.filter(why="start").first(), 30)
        (watched.work / "extra").write_text("later")
        until(lambda: Checkpoint.objects.filter(why="asked").exists(), 30, "a later checkpoint")
        done = shell.run("rollback", "bot", good.pk.hex[:10], "--yes", "--wait")
        assert done.returncode == 0, done
        assert not (watched.work / "extra").exists()
        until(lambda: watched.starts() == ["-"], 30, "the start from there")
    assert not Entry.objects.filter(kind="failure").exists()


def test_a_watch_that_was_killed_is_taken_up_by_the_next(watched: Watched) -> None:
    """kill -9: no orphan, the files as they were, one crash, and the program runs again."""
    with watched.running() as watch:
        until(watched.starts, 60, "the start")
        (watched.work / "mine").write_text("kept")
        watch.send_signal(signal.SIGKILL)
        watch.wait()
    with watched.running():
        until(lambda: len(watched.starts()) == 2, 60, "the next start")
        assert (watched.work / "mine").read_text() == "kept"
        until(lambda: Entry.objects.filter(kind="failure", outcome="crash").count() == 1, 30, "the crash")
