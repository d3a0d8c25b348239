"""Laws of an agent and its server, over real HTTP: what is said at the start, and who decides."""

from __future__ import annotations

import contextlib
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sdk.tests.desk import breaks, fail, paused, works
from sdk.tests.peer import TOKEN, Peer
from sickbay import Agent, AgentPauseRequired, Run, TokenRefused
from sickbay.testing import spooled


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer() as peer:
        yield peer


def agent_of(base: Path, url: str, token: str = TOKEN, **more: Any) -> Agent:
    return Agent("refund-desk", home=base, url=url, token=token, **more)


def test_a_run_arrives_once_and_in_order(tmp_path: Path, peer: Peer) -> None:
    """Leaving the run flushes: everything recorded is at the server, in order."""
    with agent_of(tmp_path, peer.url, about="refunds up to 50 €").run() as run:
        for n in range(20):
            run.execute(works, n)
    assert peer.seqs(run.id) == list(range(1, 23))
    assert peer.registers[0]["about"] == "refunds up to 50 €"
    assert peer.registers[0]["budget"] == {"max_consecutive": 3, "max_hourly": 10}
    assert peer.headers[-1]["state"]["status"] == "idle"


def test_a_refused_token_raises_at_the_start_and_gives_all_back(tmp_path: Path, peer: Peer) -> None:
    """The server knows no such token: run() raises, and the home is free again."""
    with pytest.raises(TokenRefused), agent_of(tmp_path, peer.url, "wrong").run():
        raise AssertionError
    with agent_of(tmp_path, peer.url).run() as run:
        assert run.execute(works) == 4


def test_a_token_refused_later_stops_nothing(tmp_path: Path, peer: Peer, caplog: Any) -> None:
    """A token that is revoked while the agent runs is a warning, not an error."""
    with agent_of(tmp_path, peer.url).run() as run, caplog.at_level(logging.WARNING, "sickbay"):
        peer.until(lambda: peer.headers)
        refusal = {"error": "token", "message": "revoked", "what_to_do": "make a new one"}
        peer.plant(401, refusal, times=50)
        for _ in range(2):
            fail(run)
        peer.until(lambda: len(peer.answers) < 50)
        assert run.execute(works) == 4
        peer.answers.clear()
    assert sum(record.levelno >= logging.WARNING for record in caplog.records) >= 1


def closed_port() -> int:
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_a_server_that_is_not_there_is_one_warning(tmp_path: Path, caplog: Any) -> None:
    """Connection refused is not waited for: the agent works, one sentence says what happens to its events."""
    agent = agent_of(tmp_path, f"http://127.0.0.1:{closed_port()}")
    with caplog.at_level(logging.WARNING, "sickbay"), agent.run() as run:
        assert run.execute(works) == 4
    assert "sent later" in caplog.text
    assert len(caplog.records) <= 2


def test_an_address_that_is_no_sickbay_is_told_apart(tmp_path: Path, peer: Peer, caplog: Any) -> None:
    """Some other web server answers: the warning says so, and the agent works."""
    peer.plant(404, b"<html>not here</html>", {"Content-Type": "text/html"}, times=50)
    with caplog.at_level(logging.WARNING, "sickbay"), agent_of(tmp_path, peer.url).run() as run:
        assert run.execute(works) == 4
    assert peer.url in caplog.text
    assert "did not answer" not in caplog.text


def test_a_refused_registration_is_not_called_late(tmp_path: Path, peer: Peer, caplog: Any) -> None:
    """What the server cannot read it never will: the log says why, and what to do."""
    refusal = {"error": "unreadable", "message": "$.every_s: at most 366 days.", "what_to_do": "Shorten it."}
    peer.plant(422, refusal, times=50)
    with caplog.at_level(logging.WARNING, "sickbay"), agent_of(tmp_path, peer.url).run() as run:
        assert run.execute(works) == 4
    (said,) = [record.getMessage() for record in caplog.records]
    assert "at most 366 days. Shorten it." in said and "refund-desk, which goes on by itself" in said
    assert "correct what is named" in said and str(tmp_path) in said and "sent later" not in said
    assert [e["name"] for e in spooled(tmp_path, "refund-desk")] == ["started", "works", "finished"]


def test_a_host_name_the_server_does_not_know_is_passed_on(tmp_path: Path, peer: Peer, caplog: Any) -> None:
    """Nothing is wrong with the agent: the log says what to set on the server, and all is kept for later."""
    refusal = {
        "error": "unknown_host",
        "message": "box.lan is not in SICKBAY_HOSTS.",
        "what_to_do": "Set it.",
    }
    peer.plant(421, refusal, times=50)
    with caplog.at_level(logging.WARNING, "sickbay"), agent_of(tmp_path, peer.url).run() as run:
        assert run.execute(works) == 4
    (said,) = [record.getMessage() for record in caplog.records]
    assert "not in SICKBAY_HOSTS. Set it" in said and "sent later" in said and "Agent(" not in said


def test_a_token_without_a_server_is_said_once(tmp_path: Path, caplog: Any) -> None:
    """Nobody is told of an agent whose address is missing: the log says what to set, once a process."""
    agent = Agent("lonely-desk", home=tmp_path, token=TOKEN)
    with caplog.at_level(logging.WARNING, "sickbay"):
        for _ in range(2):
            with agent.run() as run:
                assert run.execute(works) == 4
    (said,) = [record.getMessage() for record in caplog.records]
    assert "set SICKBAY_URL" in said and "nothing is sent" in said and str(tmp_path) in said


def test_an_offline_pause_is_told_at_the_next_start(tmp_path: Path, peer: Peer) -> None:
    """A pause made without a server travels with the register of the refused start."""
    with paused(), Agent("refund-desk", home=tmp_path).run() as run:
        fail(run, 3)
        run.execute(works)
    with paused(), agent_of(tmp_path, peer.url).run():
        raise AssertionError
    state = peer.registers[0]["state"]
    assert (state["status"], state["pause"]["limit"]) == ("paused", "consecutive")
    assert len(peer.lines) > 0, "a refused start flushes what the run before recorded"


def test_a_pause_that_only_the_server_knows_refuses_the_start(tmp_path: Path, peer: Peer) -> None:
    """A human paused the agent while it was away: run() raises before anything runs, offline too."""
    peer.pause = {"id": "p1", "owner": "human", "cause": "look first", "incident": 4, "stopped": False}
    with pytest.raises(AgentPauseRequired, match="look first"), agent_of(tmp_path, peer.url).run():
        raise AssertionError
    with paused(), Agent("refund-desk", home=tmp_path).run():
        raise AssertionError


def test_a_decision_that_waits_is_taken_up_at_the_start(tmp_path: Path, peer: Peer) -> None:
    """Paused, decided while the process was gone: the next start obeys, then registers as a run."""
    with paused(), agent_of(tmp_path, peer.url).run() as run:
        fail(run, 3)
        run.execute(works)
    pause = peer.until(lambda: next((h["state"]["pause"] for h in peer.headers if h["state"]["pause"]), None))
    peer.pause = {"id": pause["id"], "owner": "budget", "cause": "x", "incident": 4, "stopped": False}
    peer.order_command("resume", pause=pause["id"], guidance="skip it", probation=True)
    with Answered(peer), agent_of(tmp_path, peer.url).run() as run:
        assert run.guidance == "skip it"
        assert run.execute(works) == 4
    assert [r["state"] for r in peer.receipts] == ["taken", "done"]


class Answered:
    """The server lifts its pause when the command is receipted as done."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.001):
            if any(r["state"] == "done" for r in list(self._peer.receipts)):
                self._peer.pause = None


def test_supervise_goes_on_when_a_human_resumes(tmp_path: Path, peer: Peer) -> None:
    """Three failures, a pause, a resume over the socket, and the loop goes on in the same run."""
    agent = agent_of(tmp_path, peer.url)
    heard: list[str | None] = []

    def step(run: Run) -> None:
        if run.guidance:
            heard.append(run.guidance)
            raise SystemExit(0)
        with contextlib.suppress(Exception):
            run.execute(breaks)

    def human() -> None:
        pause = peer.until(
            lambda: next(
                (h["state"]["pause"] for h in peer.headers if h["state"]["status"] == "paused"), None
            )
        )
        peer.order_command("resume", pause=pause["id"], guidance="read amount.cents", probation=True)

    thread = threading.Thread(target=human)
    thread.start()
    with pytest.raises(SystemExit):
        agent.supervise(step)
    thread.join(10)
    assert heard == ["read amount.cents"]
    assert len({h["run"] for h in peer.headers}) == 1
    assert [r["state"] for r in peer.receipts] == ["taken", "done"]


def test_a_human_pauses_a_run_over_the_socket(tmp_path: Path, peer: Peer) -> None:
    """An ordered pause reaches a run that is between two actions; its next step raises."""
    with paused(), agent_of(tmp_path, peer.url).run() as run:
        peer.until(lambda: peer.sockets)
        peer.order_command("pause", pause="p1", owner="human", cause="look first")
        peer.until(lambda: [r for r in peer.receipts if r["state"] == "done"])
        run.execute(works)
    assert peer.headers[-1]["state"]["pause"]["id"] == "p1"


def test_a_stop_reaches_a_waiting_agent(tmp_path: Path, peer: Peer) -> None:
    """Stopped while it waits, a program ends with code 0 and one sentence: who, why, and what lifts it."""
    with started(tmp_path, peer.url) as process:
        pause = peer.until(
            lambda: next(
                (h["state"]["pause"] for h in peer.headers if h["state"]["status"] == "paused"), None
            ),
            30,
        )
        peer.order_command("stop", pause=pause["id"], by="Alice", reason="the tax table is wrong")
        said = process.communicate(timeout=30)[1]
    assert process.returncode == 0
    paused_said, stopped_said = said.splitlines()
    assert "is paused: 3 failures in a row" in paused_said
    assert "was stopped by Alice: the tax table is wrong." in stopped_said
    assert "'Start again'" in stopped_said and peer.url in stopped_said


def test_a_start_of_a_stopped_agent_ends_at_once(tmp_path: Path, peer: Peer) -> None:
    """Restarted while stopped: code 0, the same sentence, no step, and two requests."""
    with paused(), agent_of(tmp_path, peer.url).run() as run:
        fail(run, 3)
        run.execute(works)
    pause = peer.until(lambda: next((h["state"]["pause"] for h in peer.headers if h["state"]["pause"]), None))
    peer.pause = {"id": pause["id"], "owner": "budget", "cause": "x", "incident": 4, "stopped": True}
    peer.order_command("stop", pause=pause["id"], by="Alice", reason="the tax table is wrong")
    for again in (False, True):
        peer.requests.clear()
        with started(tmp_path, peer.url) as process:
            out, said = process.communicate(timeout=30)
        assert (process.returncode, out, len(said.splitlines())) == (0, "ended\n", 1)
        assert "was stopped by Alice: the tax table is wrong." in said
        assert not again or len(peer.requests) == 2, peer.requests


PROGRAM = """
import sys
from sdk.tests.desk import fail
from sickbay import Agent
Agent("refund-desk", home=sys.argv[1], url=sys.argv[2], token=sys.argv[3]).supervise(lambda run: fail(run, 3))
print("ended")
"""


def started(base: Path, url: str) -> subprocess.Popen[str]:
    """A program whose supervised agent fails three times."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(base), url, TOKEN],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_run_without_a_beat_opens_no_socket(tmp_path: Path, peer: Peer) -> None:
    """run(beat=False): the server is told, and no socket is opened."""
    with agent_of(tmp_path, peer.url).run(beat=False) as run:
        run.execute(works)
    assert peer.registers[0]["beat"] is False
    assert not [request for request in peer.requests if "socket" in request]
