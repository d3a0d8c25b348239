"""What the SDK tells about checkpoints reaches whoever is about to roll back, before the click."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from django.db import connection

from agents.models import Instance, Project
from checkpoints.models import Checkpoint, Rollback
from sickbay import Agent, Run
from tests.builders import make_token
from tests.product import Daphne, running_daphne
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def daphne(django_db_setup: None) -> Iterator[Daphne]:
    with running_daphne() as daphne:
        yield daphne


@pytest.fixture
def make(tmp_path: Path, daphne: Daphne, transactional_db: None, project: Project) -> Any:
    token = make_token(project)

    def agent(**more: Any) -> Agent:
        return Agent("refund-desk", home=tmp_path / "home", url=daphne.url, token=token, **more)

    return agent


@pytest.fixture
def ask(daphne: Daphne, transactional_db: None, project: Project) -> Any:
    headers = {"Authorization": f"Bearer {make_token(project, 'operator')}"}

    def asked(method: str, path: str, **said: Any) -> Any:
        more = {"json": said} if said else {}
        answer = urllib3.request(method, f"{daphne.url}/api/v1/{path}", headers=headers, **more)
        return {"status": answer.status, **answer.json()}

    return asked


def seek(query: str) -> list[str]:
    return [query]


def test_other_code_model_and_tools_are_said_before(make: Any, ask: Any) -> None:
    """By the blast of the checkpoint and by the answer to the order; none of it stands in the way."""
    agent = make(memory={"n": 1}, model="gpt-5", code_version="git:1a2b")
    with agent.run() as run:
        id = run.checkpoint("old").id
    newer = make(memory={"n": 1}, model="gpt-6", code_version="git:1a2b")
    newer.tool(seek)
    with newer.run() as run:
        newer.memory["n"] = 2
        run.checkpoint("new")
    remarks = ["It was made under model gpt-5; now it is gpt-6.", "It was made with another set of tools."]
    assert ask("GET", f"checkpoints/{id}/blast/")["remarks"][:2] == remarks
    ordered = ask("POST", "agents/refund-desk/rollback/", checkpoint=id, reason="went wrong")
    assert ordered["status"] == 200 and ordered["remarks"][:2] == remarks


def test_files_of_a_shared_workspace_are_not_rolled_back(make: Any, ask: Any, tmp_path: Path) -> None:
    """The server refuses them with a sentence; the memory alone goes back, and is verified."""
    work = tmp_path / "work"
    agent = make(memory={"n": 1}, workspace=work, shared_workspace=True)
    with agent.run() as run:
        id = run.checkpoint("old").id
        agent.memory["n"], _ = 2, (work / "a.txt").write_text("others wrote this")
        until(lambda: Checkpoint.objects.filter(pk=id).exists())
        said = {"checkpoint": id, "reason": "went wrong"}
        path = "agents/refund-desk/rollback/"
        refused = ask("POST", path, **said, scope={"memory": False, "workspace": True})
        assert refused["error"] == "shared_workspace" and "is shared with others" in refused["message"]
        assert "so its files stay as they are" in " ".join(ask("GET", f"checkpoints/{id}/blast/")["remarks"])
        assert ask("POST", path, **said)["status"] == 200
        until(lambda: run.execute(len, "x") and run.rolled_back, 20)
        assert agent.memory == {"n": 1} and (work / "a.txt").read_text() == "others wrote this"
    assert Rollback.objects.get().state == "verified"


def test_hand_edits_are_shown_before_and_kept_aside(
    make: Any, ask: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paused, edited by hand, rolled back: the blast names the file, the rollback keeps it."""
    monkeypatch.setattr("sickbay._edits.AT_LEAST", 0.1)
    monkeypatch.setattr("sickbay._edits.RESTS", 0.0)
    work, agent = tmp_path / "work", make(memory={"n": 1}, workspace=tmp_path / "work")
    taken: list[str] = []

    def step(run: Run) -> None:
        if not taken:
            (work / "notes.md").write_text("the agent's")
            taken.append(run.checkpoint("its own").id)
        run.execute(len, "x")
        threading.Event().wait(0.05)

    running = threading.Thread(target=lambda: (agent.supervise(step), connection.close()), daemon=True)
    running.start()
    until(lambda: taken and Checkpoint.objects.filter(pk=taken[0]).exists(), 30)
    ask("POST", "agents/refund-desk/pause/", reason="look first")
    until(lambda: Instance.objects.get().status == "paused", 20)
    until(lambda: Checkpoint.objects.filter(label="when it paused").exists(), 20)
    (work / "notes.md").write_text("by hand")
    blast = until(
        lambda: (found := ask("GET", f"checkpoints/{taken[0]}/blast/"))["hand_edits"]
        and found["hand_edits"]["paths"] and found, 20,
    )  # fmt: skip
    assert blast["hand_edits"]["paths"] == ["notes.md"] and "1 hand edit is kept aside." in blast["remarks"]
    ask("POST", "agents/refund-desk/rollback/", checkpoint=taken[0], reason="went wrong")
    row = until(lambda: Rollback.objects.filter(state="verified").first(), 30)
    assert row.kept == ["notes.md"] and (work / "notes.md").read_text() == "the agent's"
    (kept,) = (work / ".sickbay" / "aside").glob("*/notes.md")
    assert kept.read_text() == "by hand"
    assert ask("GET", f"checkpoints/{taken[0]}/blast/")["hand_edits"] is None
    ask("POST", "incidents/" + str(ask("GET", "incidents/")["incidents"][0]["id"]) + "/acknowledge/")
    incident = ask("GET", "incidents/")["incidents"][0]
    said = {"decision": "stop", "version": incident["version"], "reason": "seen"}
    assert ask("POST", f"incidents/{incident['id']}/decide/", **said)["status"] == 200
    running.join(20)
    assert not running.is_alive()
