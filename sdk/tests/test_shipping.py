"""Laws of checkpoints on their way to the server: in order, whole, resumed, and never in the agent's way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sdk.tests.peer import TOKEN, Door, Peer
from sickbay import Agent
from sickbay.testing import spooled
from sickbay.tree.text import load

CHILD = """
import sys
from pathlib import Path
from sickbay import Agent
base, url, token = sys.argv[1:]
agent = Agent("refund-desk", home=Path(base), url=url, token=token, memory={"n": []})
with agent.run() as run:
    for number in range(3):
        agent.memory["n"].append(number)
        run.checkpoint(str(number))
    run._ward.points._keeper.packs.sync()
    assert agent._life.link.flush(10)
"""


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer() as peer:
        yield peer


def agent_of(base: Path, peer: Peer, **more: Any) -> Agent:
    return Agent("refund-desk", home=base, url=peer.url, token=TOKEN, **more)


def packs(base: Path) -> list[str]:
    return sorted(
        p.name
        for p in (base / "refund-desk" / "main" / "checkpoints").iterdir()
        if p.suffix in (".pack", ".part", ".aside")
    )


def refuse_the_next(peer: Peer, status: int, error: str) -> None:
    """The next checkpoint, whatever else is asked before it."""

    def answer(door: Door) -> bool:
        is_one = door.command == "POST" and door.path.partition("?")[0].endswith("/checkpoints/")
        if is_one:
            door.answer(status, {"error": error, "message": "no", "what_to_do": "nothing"})
        return is_one

    peer.answers.append(answer)


def test_what_was_taken_is_at_the_server_when_the_run_is_left(tmp_path: Path, peer: Peer) -> None:
    """In order, each with its parent, readable as a whole; nothing of it is left here."""
    agent = agent_of(tmp_path, peer, memory={"messages": []}, code_version="git:1a2b")
    with agent.run() as run:
        ids = []
        for number in range(5):
            agent.memory["messages"].append({"number": number, "text": "x" * 3000})
            ids.append(run.checkpoint(f"step {number}").id)
    taken = peer.depot.taken
    assert [header["label"] for header in taken] == [None, *(f"step {n}" for n in range(5))]
    assert [header["why"] for header in taken] == ["start"] + ["asked"] * 5
    parents = [header["parent"] and header["parent"].replace("-", "") for header in taken]
    assert parents == [None, *(header["id"] for header in taken[:-1])]
    assert taken[0]["manifest"]["code"] == "git:1a2b" and taken[0]["run"] == run.id
    assert len(load(peer.depot.text(ids[2]))["messages"]) == 3
    assert packs(tmp_path) == []


def test_without_the_server_it_costs_nothing_but_disk(tmp_path: Path, peer: Peer) -> None:
    """They wait, survive the restart, and go in order when the server is there."""
    agent = agent_of(tmp_path, peer, memory={"n": 0})
    peer.down()
    with agent.run() as run:
        agent.memory["n"] = 1
        run.checkpoint("offline")
    assert len(packs(tmp_path)) == 2
    peer.up()
    with agent_of(tmp_path, peer, memory={"n": 0}).run():
        pass
    assert [header["label"] for header in peer.depot.taken][:2] == [None, "offline"]
    assert packs(tmp_path) == []


def test_what_the_server_lacks_is_sent_again_by_itself(tmp_path: Path, peer: Peer) -> None:
    """It lost a node or a base: it names it, gets it whole, and has the checkpoint."""
    agent = agent_of(tmp_path, peer, memory={"messages": ["x" * 500] * 100})
    with agent.run() as run:
        peer.until(lambda: peer.depot.taken)
        assert agent._life and agent._life.link.flush(10)
        peer.depot.nodes.clear()
        agent.memory["messages"].append("new")
        id = run.checkpoint().id
    assert peer.depot.uploads and load(peer.depot.text(id))["messages"][-1] == "new"
    assert packs(tmp_path) == []


def test_what_nobody_has_any_more_is_set_aside_and_the_next_one_holds_everything(
    tmp_path: Path, peer: Peer
) -> None:
    """A signal says so; the checkpoints after it stand by themselves."""
    agent = agent_of(tmp_path, peer, memory={"messages": ["x" * 4000] * 20})
    with agent.run() as run:
        peer.until(lambda: peer.depot.taken)
        assert agent._life and agent._life.link.flush(10)
        refuse_the_next(peer, 422, "bad_node")
        agent.memory["messages"].append("lost")
        lost = run.checkpoint("lost").id
        peer.until(lambda: not peer.answers)
        assert agent._life.link.flush(10)
        peer.depot.nodes.clear()  # what came before must not be needed
        agent.memory["messages"].append("kept")
        kept = run.checkpoint("kept").id
        assert agent._life.link.flush(10)
    assert load(peer.depot.text(kept))["messages"][-2:] == ["lost", "kept"]
    assert lost.replace("-", "") not in [header["id"] for header in peer.depot.taken]
    assert [name[-6:] for name in packs(tmp_path)] == [".aside"]
    told = [e["title"] for e in spooled(tmp_path, "refund-desk") if e["kind"] == "signal"]
    assert any("was not accepted by the server and is kept aside" in title for title in told)


def test_a_large_one_goes_in_parts_and_goes_on_where_it_was_cut(tmp_path: Path, peer: Peer) -> None:
    """Only what is missing is sent, in requests of a few MB; the header comes last."""
    work = tmp_path / "work"
    work.mkdir()
    for number in range(12):
        (work / f"{number}.bin").write_bytes(os.urandom(1_000_000))
    agent = agent_of(tmp_path / "home", peer, workspace=work)
    with agent.run():
        peer.until(lambda: peer.depot.bodies)
        peer.down()
    sent = sum(peer.depot.bodies)
    peer.up()
    with agent_of(tmp_path / "home", peer, workspace=work).run():
        peer.until(lambda: peer.depot.taken, 20)
    assert max(peer.depot.bodies) < 6_000_000
    assert sum(peer.depot.bodies) <= 12_500_000 + sent
    assert peer.depot.taken[0]["why"] == "start" and sent > 0


@pytest.mark.parametrize("point", ["pack:written", "pack:kept", "upload:answered", "upload:staged"])
def test_killed_while_taking_or_sending_nothing_is_torn(tmp_path: Path, peer: Peer, point: str) -> None:
    """The next start sends what waits, each once; a half-written one was never there."""
    command = [sys.executable, "-c", CHILD, str(tmp_path), peer.url, TOKEN]
    env = {**os.environ, "SICKBAY_FAILPOINT": f"{point}:2"}
    assert subprocess.run(command, env=env, timeout=60, check=False).returncode == 137
    done = subprocess.run(command, env={**os.environ, "SICKBAY_FAILPOINT": ""}, timeout=60, check=False)
    assert done.returncode == 0
    ids = [header["id"] for header in peer.depot.taken]
    assert len(ids) == len(set(ids)) and packs(tmp_path) == []
    last = next(header for header in reversed(peer.depot.taken) if header["label"] == "2")
    assert load(peer.depot.text(str(_dashed(last["id"]))))["n"][-3:] == [0, 1, 2]


def _dashed(id: str) -> str:
    import uuid

    return str(uuid.UUID(id))


def test_a_fenced_writer_sends_no_more(tmp_path: Path, peer: Peer) -> None:
    """A newer process took over: what waits here stays here, for the next start."""
    agent = agent_of(tmp_path, peer, memory={"n": 0})
    with agent.run() as run:
        peer.until(lambda: peer.depot.taken)
        assert agent._life and agent._life.link.flush(10)
        peer.epoch += 1  # a newer process has registered elsewhere
        refuse_the_next(peer, 409, "fenced")
        agent.memory["n"] = 1
        waiting = run.checkpoint("fenced").id
        peer.until(lambda: not peer.answers)
        run.checkpoint("after the fence")
    assert [header["label"] for header in peer.depot.taken] == [None]
    assert len([name for name in packs(tmp_path) if name.endswith(".pack")]) >= 2
    with agent_of(tmp_path, peer, memory={"n": 0}).run():
        pass
    assert waiting.replace("-", "") in [header["id"] for header in peer.depot.taken]
