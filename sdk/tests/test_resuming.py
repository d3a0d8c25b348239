"""Laws of entering: from where a run goes on, and what is left as it is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sdk.tests.desk import fail, of_kind, paused
from sdk.tests.peer import TOKEN, Peer
from sickbay import Agent, Memory, RestoreUnfinished
from sickbay.testing import Harness, spooled


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer() as peer:
        yield peer


def agent_of(base: Path, peer: Peer, **more: Any) -> Agent:
    return Agent("refund-desk", home=base, url=peer.url, token=TOKEN, **more)


def test_a_new_process_goes_on_with_the_memory_of_the_last(harness: Harness) -> None:
    """What the last run left is there, whatever the program begins with; `fresh=True` begins anew."""
    agent = harness.agent(memory={"n": 0})
    with agent.run():
        agent.memory["n"] = 5
    again = harness.agent(memory={"n": 0})
    memory = again.memory
    with again.run():
        assert again.memory == {"n": 5} and again.memory is memory
    anew = harness.agent(memory={"n": 0})
    with anew.run(fresh=True):
        assert anew.memory == {"n": 0}


def test_in_the_same_process_the_memory_is_alive(harness: Harness) -> None:
    """A second run of the same agent loads nothing: what was changed in between stays."""
    agent = harness.agent(memory={"n": 0})
    with agent.run():
        agent.memory["n"] = 1
    agent.memory["n"] = 2
    with agent.run():
        assert agent.memory == {"n": 2}


def test_it_goes_on_from_before_the_failures(harness: Harness) -> None:
    """What was kept while failures were counting is not usable; the newest before it is."""
    agent = harness.agent(memory={"n": 0}, heal=False)
    with paused(), agent.run() as run:
        agent.memory["n"] = 1
        run.checkpoint()
        agent.memory["n"] = 2
        fail(run, 10)
    harness.resume(agent)
    again = harness.agent(memory={"n": 0}, heal=False)
    with again.run():
        assert again.memory == {"n": 1}


def test_files_are_as_this_home_left_them(harness: Harness, tmp_path: Path) -> None:
    """What was worked on after the last checkpoint, by the agent or by hand, is not undone by a restart."""
    work = tmp_path / "work"
    with harness.agent(memory={"n": 0}, workspace=work).run():
        (work / "a.txt").write_text("agent")
    (work / "a.txt").write_text("by hand")
    with harness.agent(memory={"n": 0}, workspace=work).run():
        assert (work / "a.txt").read_text() == "by hand"


def test_on_another_machine_memory_and_files_come_from_the_server(tmp_path: Path, peer: Peer) -> None:
    """The home is gone; the newest usable checkpoint is restored before anything runs."""
    with agent_of(tmp_path / "one", peer, memory={"n": []}, workspace=tmp_path / "work").run() as run:
        (tmp_path / "work" / "a.txt").write_text("one")
        agent_memory = run.agent.memory
        agent_memory["n"] += ["x" * 5000] * 10
        run.checkpoint()
    other = agent_of(tmp_path / "two", peer, memory={"n": []}, workspace=tmp_path / "elsewhere")
    with other.run():
        assert len(other.memory["n"]) == 10 and (tmp_path / "elsewhere" / "a.txt").read_text() == "one"
    assert peer.depot.taken[-1]["parent"] is not None


def test_what_is_judged_bad_is_not_gone_on_from(tmp_path: Path, peer: Peer) -> None:
    """The server's word counts: a human condemned the newest one."""
    agent = agent_of(tmp_path, peer, memory={"n": 0})
    with agent.run() as run:
        agent.memory["n"] = 1
        run.checkpoint()
        agent.memory["n"] = 2
        bad = run.checkpoint().id
    peer.depot.standings[bad] = "bad"
    again = agent_of(tmp_path, peer, memory={"n": 0})
    with again.run():
        assert again.memory == {"n": 1}


def test_what_still_waits_here_is_newer_than_what_the_server_has(tmp_path: Path, peer: Peer) -> None:
    """The last run could not send its checkpoints: the next goes on from them all the same."""
    agent = agent_of(tmp_path, peer, memory={"n": 0})
    with agent.run() as run:
        peer.until(lambda: peer.depot.taken)
        assert agent._life and agent._life.link.flush(5)
        peer.down()
        agent.memory["n"] = 7
        run.checkpoint()
    peer.up()
    again = agent_of(tmp_path, peer, memory={"n": 0})
    with again.run():
        assert again.memory == {"n": 7}


def test_without_the_server_it_goes_on_from_what_it_left(tmp_path: Path, peer: Peer) -> None:
    """Everything was sent, and the server is away at the next start: the memory is here all the same."""
    agent = agent_of(tmp_path, peer, memory={"n": 0})
    with agent.run():
        agent.memory["n"] = 9
    peer.down()
    again = agent_of(tmp_path, peer, memory={"n": 0})
    with again.run():
        assert again.memory == {"n": 9}


def test_without_the_server_it_goes_on_from_before_the_failures(tmp_path: Path, peer: Peer) -> None:
    """What was kept while failures were counting does not take the place of what one can go on from."""
    agent = agent_of(tmp_path / "home", peer, memory={"n": 0}, heal=False)
    with agent.run() as run:
        agent.memory["n"] = 1
        run.checkpoint()
        life: Any = agent._life
        peer.until(lambda: len(peer.depot.taken) == 2 and not life.keeper.packs.waiting())
        peer.down()
        fail(run)
        agent.memory["n"] = 2
        assert run.checkpoint().standing == "suspect"
        life.keeper.safe(at_once=True)
        shutil.copytree(tmp_path / "home", tmp_path / "as it was when it was killed")
    again = agent_of(tmp_path / "as it was when it was killed", peer, memory={"n": 0})
    with again.run():
        assert again.memory == {"n": 1}


def test_without_what_it_needs_it_begins_and_says_so(harness: Harness, tmp_path: Path) -> None:
    """Packs are gone and there is no server: the agent runs with what it was given, and a signal says why."""
    with harness.agent(memory={"n": 0}).run():
        pass
    for file in (tmp_path / "agent" / "main" / "checkpoints").iterdir():
        if file.name != "index.ndjson":
            file.unlink()
    again = harness.agent(memory={"n": 3})
    with again.run():
        assert again.memory == {"n": 3}
    assert "could not go on from checkpoint" in of_kind(harness, again, "signal")[0]["title"]


def test_what_cannot_be_finished_holds_the_agent_until_it_is(harness: Harness) -> None:
    """load() raises half-way: paused and restoring; the next start finishes, and a human lets it go on."""
    state: dict[str, Any] = {"n": 1}
    broken = [True]

    def load(saved: Any) -> None:
        if broken[0]:
            raise OSError("the database is away")
        state.update(saved)

    def agent() -> Agent:
        return harness.agent(memory=Memory(save=lambda: dict(state), load=load))

    with paused(), agent().run() as run:
        id = run.checkpoint().id
        state["n"] = 2
        with pytest.raises(RestoreUnfinished, match="database is away"):
            run.rollback(id)
        assert run._ward.ledger.snapshot()["status"] == "restoring"
        run.execute(len, [])
    with paused(), agent().run():
        raise AssertionError
    broken.clear()
    broken.append(False)
    with paused(), agent().run():
        raise AssertionError
    assert state == {"n": 1}
    harness.resume(agent())
    with agent().run() as run:
        assert run._ward.ledger.snapshot()["status"] != "restoring"


def test_what_waits_may_be_told_against_what_was_sent(tmp_path: Path, peer: Peer) -> None:
    """Killed with a checkpoint that only this machine has: its memory is read with the server's nodes."""
    known = {f"order {n}": f"refunded at {n}" for n in range(60)}
    agent = agent_of(tmp_path / "home", peer, memory={**known, "n": 0})
    with agent.run() as run:
        run.checkpoint()
        life: Any = agent._life
        peer.until(lambda: len(peer.depot.taken) == 2 and not life.keeper.packs.waiting())
        peer.down()
        nodes = dict(peer.depot.nodes)
        agent.memory["n"] = 7
        run.checkpoint()
        shutil.copytree(tmp_path / "home", tmp_path / "as it was when it was killed")
        peer.up()
    (tmp_path / "home").rename(tmp_path / "gone")
    del peer.depot.taken[2:]
    peer.depot.nodes = nodes
    again = agent_of(tmp_path / "as it was when it was killed", peer, memory={"n": 0})
    with again.run():
        assert again.memory == {**known, "n": 7}


def test_without_the_server_an_older_memory_is_better_than_none(tmp_path: Path, peer: Peer) -> None:
    """The newest needs what only the server has: it goes on from the last that is whole here, and says so."""
    first = agent_of(tmp_path, peer, memory={"n": 0, "said": ["x" * 500] * 40})
    with first.run():
        peer.until(lambda: peer.depot.taken)
        assert first._life is not None and first._life.link.flush(10)
        first._life.keeper.safe(at_once=True)
        peer.down()
        first.memory["n"] = 1
    again = agent_of(tmp_path, peer, memory={})
    with again.run() as run:
        assert again.memory["n"] == 0 and len(again.memory["said"]) == 40
        run.checkpoint()
    told = [e["title"] for e in spooled(tmp_path, "refund-desk") if e["kind"] == "signal"]
    assert any("could not go on from checkpoint" in title for title in told)
