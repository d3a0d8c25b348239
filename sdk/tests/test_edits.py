"""Laws of hand edits: told while nothing runs, kept aside when the workspace is rolled back."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sdk.tests.peer import TOKEN, Peer
from sdk.tests.test_rollback import ended, order
from sickbay import Agent, AgentPauseRequired, Run


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer() as peer:
        yield peer


def agent_of(base: Path, peer: Peer) -> Agent:
    return Agent(
        "refund-desk", home=base / "home", url=peer.url, token=TOKEN, workspace=base / "work", memory={}
    )


def pause_it(peer: Peer) -> None:
    peer.order_command("pause", pause="p1", owner="human", cause="look first")


@pytest.fixture
def paused(tmp_path: Path, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The workspace of a supervised agent that waits for a decision; it looks more often than it would."""
    monkeypatch.setattr("sickbay._edits.AT_LEAST", 0.05)
    monkeypatch.setattr("sickbay._edits.RESTS", 0.0)
    work, agent = tmp_path / "work", agent_of(tmp_path, peer)

    def step(run: Run) -> None:
        if not (work / "notes.md").exists():
            (work / "notes.md").write_text("the agent's")
            run.checkpoint("its own")
            pause_it(peer)
        run.execute(lambda: 1, name="works")

    running = threading.Thread(target=agent.supervise, args=(step,), daemon=True)
    running.start()
    peer.until(lambda: any(said.get("status") == "paused" for said in states(peer)))
    peer.until(lambda: edits(peer) == [[]])  # it has looked: what is written from here on is not its own
    yield work
    peer.order_command("stop", pause="p1")
    running.join(10)
    assert not running.is_alive()


def states(peer: Peer) -> list[dict[str, Any]]:
    return [header.get("state") or {} for header in peer.headers]


def edits(peer: Peer) -> list[list[str]]:
    return [said["paths"] for said in peer.depot.edits]


def test_what_is_changed_by_hand_while_it_waits_is_told(paused: Path, peer: Peer) -> None:
    """By path, each state of things once; nothing when it is as it was."""
    (paused / "notes.md").write_text("by hand")
    (paused / "new.md").write_text("by hand")
    peer.until(lambda: edits(peer)[-1] == ["new.md", "notes.md"])
    (paused / "new.md").unlink()
    peer.until(lambda: edits(peer)[-1] == ["notes.md"])
    (paused / "notes.md").write_text("the agent's")
    peer.until(lambda: edits(peer)[-1] == [])
    assert len(edits(peer)) == 4


def test_many_are_told_by_their_number(paused: Path, peer: Peer) -> None:
    """At most 200 paths travel."""
    for n in range(230):
        (paused / f"{n:03}.md").write_text("by hand")
    peer.until(lambda: peer.depot.edits[-1:] and peer.depot.edits[-1]["more"] == 30)
    assert len(peer.depot.edits[-1]["paths"]) == 200


def test_a_rollback_keeps_them_aside(paused: Path, peer: Peer) -> None:
    """They are named in the report, and lie beside the workspace's files."""
    (paused / "notes.md").write_text("by hand")
    taken = peer.until(lambda: [h for h in peer.depot.taken if h["label"] == "its own"])
    command = order(peer, str(uuid.UUID(taken[0]["id"])), pause="p1")
    assert ended(peer, command) == "done"
    assert (paused / "notes.md").read_text() == "the agent's"
    done = [said for said in peer.depot.progress if said["state"] == "applied"]
    assert done[0]["kept"] == ["notes.md"]
    (kept,) = (paused / ".sickbay" / "aside").glob("*/notes.md")
    assert kept.read_text() == "by hand"


def test_what_a_running_agent_changed_is_not_kept_aside(tmp_path: Path, peer: Peer) -> None:
    """It is its own work, and the checkpoint before the rollback has it."""
    agent, work = agent_of(tmp_path, peer), tmp_path / "work"
    with agent.run() as run:
        (work / "notes.md").write_text("one")
        id = run.checkpoint("one").id
        (work / "notes.md").write_text("two")
        run.rollback(id)
        assert (work / "notes.md").read_text() == "one"
    assert not list((work / ".sickbay").glob("aside/*/*")) and not peer.depot.edits


def test_a_refused_start_tells_what_was_changed_since(tmp_path: Path, peer: Peer) -> None:
    """No process waited, somebody edited: the next start says so before it is refused."""
    agent, work = agent_of(tmp_path, peer), tmp_path / "work"
    with pytest.raises(AgentPauseRequired), agent.run() as run:
        (work / "notes.md").write_text("the agent's")
        pause_it(peer)
        while True:
            run.execute(lambda: 1, name="works")
    (work / "notes.md").write_text("by hand")
    with pytest.raises(AgentPauseRequired), agent_of(tmp_path, peer).run():
        pass
    assert edits(peer)[-1] == ["notes.md"]
