"""A held tool with a real server and real agents: the call waits, other work goes on, and it runs once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from agents.models import Command, Incident, Instance, Project
from sickbay import ActionFailed, Agent, AgentPauseRequired, Run
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

    def agent(name: str) -> Agent:
        return Agent(name, home=tmp_path / "home", url=daphne.url, token=token)

    return agent


@pytest.fixture
def ask(daphne: Daphne, transactional_db: None, project: Project) -> Any:
    headers = {"Authorization": f"Bearer {make_token(project, 'operator')}"}

    def asked(path: str, **said: Any) -> Any:
        answer = urllib3.request("POST", f"{daphne.url}/api/v1/{path}", headers=headers, json=said)
        assert answer.status == 200, answer.data
        return answer.json()

    return asked


def fails_with_it(agent: Agent) -> int:
    """The agent spends its budget with `pay`, and is paused; its incident."""

    def pay() -> None:
        raise ValueError("the payment service has moved")

    with pytest.raises(AgentPauseRequired), agent.run() as run:
        for _ in range(3):
            with contextlib.suppress(ActionFailed):
                run.execute(pay, external=True)
    return until(lambda: Incident.objects.filter(state="open").values_list("pk", flat=True).first()) or 0


def pays(run: Run, done: list[str]) -> threading.Thread:
    def call() -> None:
        with contextlib.suppress(BaseException):  # what ends the run
            run.execute(lambda: done.append("paid"), name="pay", external=True, key="pay:17")

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread


def waiting(name: str = "desk") -> Any:
    found = Instance.objects.get(agent__name=name)
    return found.held_calls, found.doing


def test_held_over_a_restart_then_lifted(make: Any, ask: Any) -> None:
    """The call waits while another tool's goes on; a restart waits, too; once lifted it runs, once.

    The server knows all along what waits."""
    incident = fails_with_it(make("desk"))
    held = ask(f"incidents/{incident}/hold/", reason="known bug")
    version = Incident.objects.get().version
    ask(f"incidents/{incident}/decide/", decision="resume", version=version, reason="other work goes on")
    done: list[str] = []
    with make("desk").run() as run:
        thread = pays(run, done)
        until(lambda: waiting() == ({"pay": 1}, "waiting for pay (held)"))
        assert run.execute(lambda: 5, name="search") == 5 and done == []
        assert run.agent._life is not None
        run.agent._life.leave()  # as a SIGTERM does
        thread.join(10)
    assert done == [] and not thread.is_alive()
    with make("desk").run() as run:
        thread = pays(run, done)
        until(lambda: waiting()[0] == {"pay": 1})
        ask(f"holds/{held['id']}/lift/", reason="fixed outside")
        thread.join(10)
        assert done == ["paid"]
        until(lambda: waiting() == ({}, ""))
        pays(run, done).join(10)
    assert done == ["paid"]
    assert set(Command.objects.filter(kind="hold").values_list("state", flat=True)) <= {"done", "overtaken"}


def test_an_agent_that_runs_is_told_at_once(make: Any, ask: Any, project: Project) -> None:
    """Held everywhere: an agent that had nothing to do with the incident waits, and so does a new one."""
    done: list[str] = []
    with make("other").run() as run:
        incident = fails_with_it(make("desk"))
        held = ask(f"incidents/{incident}/hold/", reason="known bug", everywhere=True)
        until(lambda: run._ward.ledger.holds.tools)
        threads = [pays(run, done)]
        with make("newcomer").run() as newcomer:
            threads.append(pays(newcomer, done))
            until(lambda: waiting("other")[0] == waiting("newcomer")[0] == {"pay": 1})
            told = Command.objects.filter(kind="hold", instance__agent__name="other")
            until(lambda: list(told.values_list("state", flat=True)) == ["done"])
            ask(f"holds/{held['id']}/lift/", reason="fixed outside")
            for thread in threads:
                thread.join(10)
    assert done == ["paid", "paid"]
