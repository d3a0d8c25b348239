"""The SDK's checkpoints against the real web server: taken, seen, gone back to, proven."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from django.db import connection

from agents.models import Command, Entry, Incident, Instance, Project
from checkpoints import store
from checkpoints.models import Checkpoint, Rollback
from sickbay import ActionFailed, Agent, AgentPauseRequired, Run
from sickbay.tree.read import text_of
from sickbay.tree.text import load
from tests.builders import make_token
from tests.product import Daphne, running_daphne
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def daphne(django_db_setup: None) -> Iterator[Daphne]:
    with running_daphne() as daphne:
        yield daphne


@pytest.fixture
def token(transactional_db: None, project: Project) -> str:
    return make_token(project)


@pytest.fixture
def operator(transactional_db: None, project: Project) -> dict[str, str]:
    return {"Authorization": f"Bearer {make_token(project, 'operator')}"}


@pytest.fixture
def make(tmp_path: Path, daphne: Daphne, token: str) -> Any:
    def agent(home: str = "home", **more: Any) -> Agent:
        return Agent("refund-desk", home=tmp_path / home, url=daphne.url, token=token, **more)

    return agent


def asked(daphne: Daphne, operator: dict[str, str], path: str, **said: Any) -> Any:
    answer = urllib3.request("POST", f"{daphne.url}/api/v1/{path}", headers=operator, json=said)
    assert answer.status == 200, answer.data
    return answer.json()


def memory_of(found: Checkpoint) -> Any:
    def fetch(names: list[bytes]) -> dict[bytes, bytes]:
        return store.fetch(found.project_id, names)

    assert found.memory is not None
    return load(text_of(bytes(found.memory), fetch))


def breaks() -> None:
    raise ValueError("no such order")


def test_what_is_taken_is_seen(make: Any, tmp_path: Path) -> None:
    """Memory, files, label, standing and lineage of each checkpoint are at the server; one entry for each."""
    agent = make(memory={"messages": []}, workspace=tmp_path / "work", code_version="git:1a2b")
    with agent.run() as run:
        for number in range(5):
            agent.memory["messages"].append({"role": "user", "content": f"{number} " + "word " * 900})
            (tmp_path / "work" / f"{number}.txt").write_text("x" * 3000)
            run.execute(len, "abc", verify=lambda n: n == 3)
            last = run.checkpoint(f"step {number}")
    rows = list(Checkpoint.objects.order_by("at"))
    assert [row.label for row in rows] == ["", *(f"step {n}" for n in range(5))]
    assert [row.standing for row in rows] == ["good"] * 6 and rows[-1].pk == uuid.UUID(last.id)
    assert [row.parent for row in rows[1:]] == [row.pk for row in rows[:-1]]
    assert (rows[-1].files, rows[-1].dependencies.code, rows[-1].last_action) == (5, "git:1a2b", "len")
    assert memory_of(rows[3])["messages"] == agent.memory["messages"][:3]
    assert Entry.objects.filter(kind="checkpoint").count() == 6


def test_a_rollback_by_token_is_verified_and_the_agent_goes_on(
    make: Any, daphne: Daphne, operator: dict[str, str], tmp_path: Path
) -> None:
    """Ordered while it runs: obeyed at a safe point and proven; what comes after descends from it."""
    work = tmp_path / "work"
    agent = make(memory={"n": 1}, workspace=work)
    with agent.run() as run:
        (work / "a.txt").write_text("one")
        id = run.checkpoint("one").id
        agent.memory["n"], _ = 2, (work / "a.txt").write_text("two")
        until(lambda: Checkpoint.objects.filter(pk=id).exists())
        asked(daphne, operator, "agents/refund-desk/rollback/", checkpoint=id, reason="went wrong")
        until(lambda: run.execute(len, "x") and run.rolled_back, 20)
        assert agent.memory == {"n": 1} and (work / "a.txt").read_text() == "one"
        until(lambda: Command.objects.get().state == "done")
    row = Rollback.objects.get()
    assert (row.state, str(row.checkpoint), row.why) == ("verified", id, "")
    after = Checkpoint.objects.get(label="rolled back to one")
    assert str(after.parent) == id and Checkpoint.objects.filter(pk=row.before).exists()
    assert Entry.objects.filter(kind="rollback", outcome="verified").exclude(kind="action").count() == 1


def test_roll_back_and_resume_is_verified_and_running(
    make: Any, daphne: Daphne, operator: dict[str, str]
) -> None:
    """Incident, decision, rollback, proof, receipt, resumed on probation with the guidance."""
    agent = make(memory={"n": 1}, heal=False)
    went: list[Any] = []
    done = threading.Event()

    def step(run: Run) -> None:
        if run.guidance:
            went.append((run.guidance, agent.memory["n"]))
            until(lambda: Instance.objects.get().status == "probation", 20)
            done.set()
            raise SystemExit(0)
        agent.memory["n"] += 1
        run.execute(breaks)

    def decide() -> None:
        incident = until(lambda: Incident.objects.first(), 30)
        good = until(lambda: Checkpoint.objects.filter(standing="good").first())
        assert good is not None and incident is not None
        until(lambda: Instance.objects.get().status == "paused", 20)
        until(lambda: Checkpoint.objects.filter(label="when it paused").exists(), 20)
        until(lambda: decided(incident), 20, "the decision")  # what comes late moves the version
        connection.close()  # this thread's own

    def decided(incident: Incident) -> bool:
        incident.refresh_from_db()
        said = {"decision": "rollback", "reason": "it drifted", "guidance": "slowly"}
        said |= {"version": incident.version, "checkpoint": "last_known_good"}
        path = f"{daphne.url}/api/v1/incidents/{incident.pk}/decide/"
        return urllib3.request("POST", path, headers=operator, json=said).status == 200

    human = threading.Thread(target=decide, daemon=True)
    human.start()
    with pytest.raises(SystemExit):
        agent.supervise(step)
    human.join()
    assert went == [("slowly", 1)] and done.is_set()
    assert Rollback.objects.get().state == "verified" and Command.objects.get().state == "done"
    assert Incident.objects.get().state in ("applied", "closed")


def test_the_agents_own_ways_back_are_seen(make: Any) -> None:
    """`run.rollback()` and a failed verification each leave a verified row, with who asked."""
    agent = make(memory={"n": 1})
    with agent.run() as run:
        agent.memory["n"] = 2
        run.rollback()
        assert agent.memory == {"n": 1}
        agent.memory["n"] = 3
        with pytest.raises(ActionFailed) as failed:
            run.execute(len, "abc", verify=lambda n: n == 4)
        assert failed.value.rolled_back_to and agent.memory == {"n": 1}
    rows = Rollback.objects.order_by("ordered_at")
    assert [(row.asked_by, row.state) for row in rows] == [("agent", "verified"), ("verdict", "verified")]
    assert Entry.objects.filter(kind="rollback").count() == 2


def test_on_another_machine_the_run_goes_on(make: Any, tmp_path: Path) -> None:
    """The home and the workspace are gone: both come from the server."""
    with make(memory={"m": []}, workspace=tmp_path / "work").run() as run:
        run.agent.memory["m"] += ["y" * 4000] * 20
        (tmp_path / "work" / "deep").mkdir()
        (tmp_path / "work" / "deep" / "a.txt").write_text("z" * 100_000)
        run.checkpoint()
    other = make("elsewhere", memory={"m": []}, workspace=tmp_path / "new")
    began = time.monotonic()
    with other.run():
        assert len(other.memory["m"]) == 20
        assert (tmp_path / "new" / "deep" / "a.txt").read_text() == "z" * 100_000
    assert time.monotonic() - began < 15


def test_what_was_ordered_while_its_host_was_dead_is_where_the_next_run_starts(
    make: Any, daphne: Daphne, operator: dict[str, str], tmp_path: Path
) -> None:
    """Paused, gone, decided: the next start goes back first, and then runs."""
    work = tmp_path / "work"
    with pytest.raises(AgentPauseRequired), make(memory={"n": 1}, workspace=work, heal=False).run() as run:
        (work / "a.txt").write_text("one")
        run.execute(len, "abc", verify=lambda n: n == 3)
        run.checkpoint("good")
        (work / "a.txt").write_text("two")
        run.agent.memory["n"] = 2
        while True:
            try:
                run.execute(breaks)
            except ActionFailed:
                continue
    incident = until(lambda: Incident.objects.first())
    assert incident is not None
    until(lambda: Checkpoint.objects.filter(label="good", standing="good").exists(), 20)
    until(lambda: Checkpoint.objects.filter(why="end").exists(), 20)
    asked(
        daphne, operator, f"incidents/{incident.pk}/decide/", decision="rollback", reason="x",
        version=Incident.objects.get().version, checkpoint="last_known_good",
    )  # fmt: skip
    again = make(memory={"n": 0}, workspace=work, heal=False)
    with again.run() as run:
        assert again.memory == {"n": 1} and (work / "a.txt").read_text() == "one"
        assert run.rolled_back is not None and run.execute(len, "a") == 1
    assert Rollback.objects.get().state == "verified"
