"""A real agent and the real web server: it goes wrong, a human rolls it back, it proves it and goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from agents.models import Project
from checkpoints.models import Checkpoint
from tests.builders import make_token
from tests.product import Daphne, running_daphne
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)
DESK = """
import sys
from pathlib import Path
from sickbay import Agent

base, work = sys.argv[1:]
agent = Agent("desk", home=Path(base), workspace=work, memory={"n": 0, "prices": "right"}, heal=False)
prices = Path(work, "prices.txt")


def step(run):
    if run.rolled_back:
        run.execute(lambda: prices.read_text(), name="look", verify=lambda text: text == "right")
        agent.memory["seen"] = agent.memory["prices"]
        run.waiting(60, "more prices")
        return
    if agent.memory["n"] == 0:
        prices.write_text("right")
        run.execute(lambda: 1, name="look", verify=lambda _: True)
        agent.memory["n"] = 1
        run.checkpoint("right prices")
    prices.write_text("wrong")
    agent.memory["prices"] = "wrong"
    run.execute(lambda: prices.read_text(), name="look", verify=lambda text: text == "right")


agent.supervise(step)
"""


@pytest.fixture(scope="module")
def daphne(django_db_setup: None) -> Iterator[Daphne]:
    with running_daphne() as daphne:
        yield daphne


@pytest.fixture
def operator(transactional_db: None, project: Project) -> dict[str, str]:
    return {"Authorization": f"Bearer {make_token(project, 'operator')}"}


@pytest.fixture
def work(daphne: Daphne, transactional_db: None, project: Project, tmp_path: Path) -> Iterator[Path]:
    """The workspace of a running agent that breaks its own prices."""
    (work := tmp_path / "work").mkdir()
    env = {**os.environ, "SICKBAY_URL": daphne.url, "SICKBAY_TOKEN": make_token(project)}
    command = [sys.executable, "-c", DESK, str(tmp_path / "home"), str(work)]
    with subprocess.Popen(command, env=env) as process:
        try:
            yield work
        finally:
            process.terminate()
            process.wait(15)


def asked(daphne: Daphne, operator: dict[str, str], method: str, path: str, **said: Any) -> Any:
    more = {"json": said} if said else {}
    return urllib3.request(method, f"{daphne.url}/api/v1/{path}", headers=operator, **more).json()


def test_it_is_rolled_back_verified_and_runs(daphne: Daphne, operator: dict[str, str], work: Path) -> None:
    """Memory and files are the checkpoint's, the rollback is verified, and the agent is on probation."""

    def waiting() -> Any:
        return asked(daphne, operator, "GET", "incidents/?state=open")["incidents"]

    incident = until(waiting, 60, "the incident")[0]
    until(lambda: Checkpoint.objects.filter(label="right prices", standing="good").exists(), 30, "checkpoint")
    path = f"incidents/{incident['id']}/"

    def decided() -> Any:
        said = {"decision": "rollback", "reason": "wrong prices", "checkpoint": "last_known_good"}
        said |= {"version": asked(daphne, operator, "GET", path)["version"]}
        return asked(daphne, operator, "POST", f"{path}decide/", **said).get("results")

    (result,) = until(decided, 30, "the decision")  # what comes late moves the version
    assert result["result"] == "ordered", result

    def ended() -> Any:
        rows = asked(daphne, operator, "GET", "agents/desk/rollbacks/")["rollbacks"]
        return [row for row in rows if row["state"] in ("verified", "failed", "refused")]

    (row,) = until(ended, 60, "the end of the rollback")
    assert (row["state"], row["why"]) == ("verified", None)
    assert (work / "prices.txt").read_text() == "right" and row["before"]
    going = ("probation", "running")
    until(lambda: asked(daphne, operator, "GET", "agents/desk/")["status"] in going, 30, "it goes on")
    closed = ("applied", "closed")
    until(
        lambda: asked(daphne, operator, "GET", f"incidents/{incident['id']}/")["state"] in closed, 30, "end"
    )
    after = Checkpoint.objects.filter(parent=row["checkpoint"], at__gt=row["began_at"]).first()
    assert after is None or after.standing != "bad"
