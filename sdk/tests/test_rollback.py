"""Laws of going back: all of it, once, proven, at safe points, and over any death."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sdk.tests.desk import breaks, of_kind, paused, works
from sdk.tests.durable import until
from sdk.tests.peer import TOKEN, Peer
from sickbay import (
    ActionFailed,
    Agent,
    BadArgument,
    Memory,
    RestoreRefused,
    RestoreUnfinished,
    Run,
    _safe_points,
)
from sickbay.testing import Harness

DYING = """
import sys
from pathlib import Path
from sickbay import Agent
base, work = sys.argv[1:]
agent = Agent("desk", home=Path(base), workspace=work, memory={"n": 0})
with agent.run() as run:
    if not run.rolled_back:
        Path(work, "a.txt").write_text("old")
        Path(work, "only-old.txt").write_text("x")
        agent.memory["n"] = 1
        id = run.checkpoint("old").id
        Path(work, "a.txt").write_text("new")
        Path(work, "only-old.txt").unlink()
        Path(work, "only-new.txt").write_text("y")
        agent.memory["n"] = 2
        run.rollback(id)
    files = {p.name: p.read_text() for p in Path(work).iterdir() if p.is_file()}
    print(agent.memory["n"], sorted(files.items()), bool(run.rolled_back), flush=True)
"""

HEARS = """
import os, sys
from pathlib import Path
from sickbay import Agent
base, work = sys.argv[1:]
with Agent("desk", home=Path(base), workspace=work, memory={"n": 0}).run() as run:
    print(bool(run.rolled_back), flush=True)
    os._exit(137)
"""


def test_what_is_not_proven_raises_and_holds(tmp_path: Path) -> None:
    """Something writes on while files are put back: whoever asked does not go on as if all were well."""
    work = tmp_path / "work"
    work.mkdir()

    def load(value: Any) -> None:
        (work / "log.txt").write_text("written while the rollback goes on")

    memory = Memory(save=lambda: {"n": 1}, load=load)
    harness = Harness(tmp_path / "home")
    agent = harness.agent(workspace=work, memory=memory)
    with agent.run() as run:
        id = run.checkpoint("clean").id
        (work / "a.txt").write_text("new")
        with pytest.raises(RestoreUnfinished, match="something else: end what writes there"):
            run.rollback(id)
        with paused():
            run.execute(works)


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer() as peer:
        yield peer


def agent_of(base: Path, peer: Peer, **more: Any) -> Agent:
    return Agent("refund-desk", home=base, url=peer.url, token=TOKEN, **more)


def order(peer: Peer, id: str, **more: Any) -> dict[str, Any]:
    header = next(h for h in peer.depot.taken if h["id"] == uuid.UUID(id).hex)
    payload = {
        "pause": None,
        "checkpoint": id,
        "rollback": str(uuid.uuid4()),
        "by": "alice",
        "reason": "look",
    }
    payload |= {"memory": header["manifest"]["memory"], "workspace": header["manifest"]["workspace"]}
    payload |= {"scope": {"memory": True, "workspace": True, "paths": None}, "goes_on": False}
    return peer.order_command("rollback", **{**payload, **more})


def ended(peer: Peer, command: dict[str, Any]) -> str:
    states: list[str] = peer.until(
        lambda: [r["state"] for r in peer.receipts if r["id"] == command["id"] and r["state"] != "taken"]
    )
    return states[0]


def test_back_to_a_checkpoint_and_back_again(harness: Harness, tmp_path: Path) -> None:
    """Memory and files are as they were; the state just before is a checkpoint, to which one can go, too."""
    work = tmp_path / "work"
    agent = harness.agent(memory={"n": 1}, workspace=work)
    with agent.run() as run:
        memory = agent.memory
        (work / "a.txt").write_text("one")
        first = run.checkpoint("one")
        (work / "a.txt").write_text("two")
        (work / "b.txt").write_text("new")
        agent.memory["n"] = 2
        back = run.rollback(first.id)
        assert agent.memory == {"n": 1} and agent.memory is memory
        assert (work / "a.txt").read_text() == "one" and not (work / "b.txt").exists()
        assert back.before is not None
        run.rollback(back.before)
        assert agent.memory == {"n": 2} and (work / "b.txt").read_text() == "new"
    outcomes = [event["outcome"] for event in of_kind(harness, agent, "rollback")]
    assert outcomes == ["verified", "verified"]


def test_what_happened_outside_is_told(harness: Harness) -> None:
    """The effects since the checkpoint stay, and are listed with their keys."""
    agent = harness.agent(memory={"n": 1})
    with agent.run() as run:
        run.execute(works, external=True, key="refund:1")
        harness.clock.advance(10)
        id = run.checkpoint().id
        harness.clock.advance(10)
        run.execute(works, external=True, key="refund:2")
        back = run.rollback(id)
    assert [effect["key"] for effect in back.effects] == ["refund:2"]


def test_secrets_of_the_living_process_stay(harness: Harness) -> None:
    """What is in no checkpoint is not lost by going back."""
    agent = harness.agent(memory={"smtp": {"password": "old-secret"}, "n": 1})
    agent.secret("smtp", "password")
    with agent.run() as run:
        id = run.checkpoint().id
        agent.memory["smtp"]["password"] = "new-secret"
        agent.memory["n"] = 2
        run.rollback(id)
        assert agent.memory == {"smtp": {"password": "new-secret"}, "n": 1}


def test_never_inside_an_action_and_never_to_nowhere(harness: Harness) -> None:
    """Each is said by its own sentence, and nothing has changed."""
    agent = harness.agent(memory={"n": 1})
    with agent.run() as run:
        with run.action("outer"), pytest.raises(BadArgument, match="outer is in flight"):
            run.rollback()
        with pytest.raises(BadArgument, match="write the id"):
            run.rollback("yesterday")
        with pytest.raises(RestoreRefused, match="is not known"):
            run.rollback(str(uuid.uuid4()))
        assert agent.memory == {"n": 1}


def test_a_verification_that_fails_inside_waits_for_the_outer_action(harness: Harness) -> None:
    """Nothing is put back while anything is in flight; the outer action's error names the checkpoint."""
    agent = harness.agent(memory={"n": 1})

    def outer(run: Run) -> None:
        agent.memory["n"] = 2
        try:
            run.execute(works, verify=lambda _: False)
        except ActionFailed as inner:
            assert inner.rolled_back_to is None and agent.memory["n"] == 2
            raise

    with agent.run() as run:
        with pytest.raises(ActionFailed) as failed:
            run.execute(outer, run)
        assert failed.value.rolled_back_to is not None and agent.memory == {"n": 1}


def test_one_that_does_not_heal_stays_where_it_is(harness: Harness) -> None:
    """heal=False: failures count, and nothing is rolled back by itself."""
    agent = harness.agent(memory={"n": 1}, heal=False)
    with agent.run() as run:
        agent.memory["n"] = 2
        with pytest.raises(ActionFailed) as failed:
            run.execute(works, verify=lambda _: False)
        assert failed.value.rolled_back_to is None and agent.memory == {"n": 2}


def test_supervise_goes_back_at_the_second_failure_and_further_at_the_third(harness: Harness) -> None:
    """At the first exception it only tries again; the second goes back to a good one, the third beyond."""
    from sickbay import FailureBudget

    agent = harness.agent(memory={"n": 0}, budget=FailureBudget(max_consecutive=4))
    seen: list[int] = []

    def step(run: Run) -> None:
        if not seen:
            for number in (1, 2):
                agent.memory["n"] = number
                run.execute(works, verify=bool, name=f"w{number}")
                run.checkpoint()
            agent.memory["n"] = 3
        seen.append(agent.memory["n"])
        if len(seen) == 4:
            sys.exit(0)
        run.execute(breaks)

    with pytest.raises(SystemExit):
        agent.supervise(step)
    assert seen == [3, 3, 2, 1]


def test_the_state_it_pauses_in_is_kept(harness: Harness) -> None:
    """While supervise waits, what a human compares is there: a suspect checkpoint of the paused state."""
    agent = harness.agent(memory={"n": 0}, heal=False)
    kept: list[tuple[str, str | None]] = []

    def step(run: Run) -> None:
        if run.guidance:
            kept.extend((t.standing, t.label) for t in run._ward.points._keeper.shelf._taken.values())
            sys.exit(0)
        agent.memory["n"] += 1
        run.execute(breaks)

    def human() -> None:
        harness.clock.paused.wait(20)
        harness.resume(agent, guidance="go on")

    thread = threading.Thread(target=human)
    thread.start()
    with pytest.raises(SystemExit):
        agent.supervise(step)
    thread.join()
    assert kept == [("good", None), ("suspect", "when it paused")]


def test_memory_that_loads_itself(harness: Harness) -> None:
    """Memory.load is given what save said; one that raises leaves the agent restoring, and paused."""
    state: dict[str, Any] = {"n": 1}
    loaded: list[Any] = []
    agent = harness.agent(
        memory=Memory(save=lambda: dict(state), load=lambda s: (loaded.append(s), state.update(s)))
    )
    with agent.run() as run:
        id = run.checkpoint().id
        state["n"] = 2
        run.rollback(id)
    assert loaded == [{"n": 1}] and state == {"n": 1}


def test_a_command_is_done_at_a_safe_point_and_proven(tmp_path: Path, peer: Peer) -> None:
    """Ordered while an action runs: nothing changes before it ends; then it is done, and proven."""
    work = tmp_path / "work"
    agent = agent_of(tmp_path / "home", peer, memory={"n": 1}, workspace=work)
    with agent.run() as run:
        (work / "a.txt").write_text("one")
        id = run.checkpoint().id
        peer.until(lambda: len(peer.depot.taken) == 2)
        agent.memory["n"] = 2
        with run.action("outer"):
            command = order(peer, id)
            peer.until(lambda: agent._life and agent._life.orders.rollback)
            assert agent.memory == {"n": 2}
        assert agent.memory == {"n": 1} and run.rolled_back is not None and run.rolled_back.by == "alice"
        assert ended(peer, command) == "done"
    applied = peer.depot.progress[-1]
    header = next(h for h in peer.depot.taken if h["id"] == uuid.UUID(id).hex)
    assert applied["state"] == "applied" and applied["memory"] == header["manifest"]["memory"]
    assert applied["workspace"] == header["manifest"]["workspace"]
    assert uuid.UUID(applied["before"]).hex in [h["id"] for h in peer.depot.taken]
    after = next(h for h in peer.depot.taken if (h["label"] or "").startswith("rolled back"))
    assert after["parent"] == id


def test_a_server_that_is_back_need_not_wait(
    tmp_path: Path, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It died after it had ordered: any answer of the one that follows is enough to ask it."""
    monkeypatch.setattr(_safe_points, "ASK_AGAIN", 3600.0)
    agent = agent_of(tmp_path, peer, memory={"n": 1})
    with agent.run() as run:
        id = run.checkpoint().id
        peer.until(lambda: len(peer.depot.taken) == 2)
        agent.memory["n"] = 2
        with run.action("outer"):
            order(peer, id)
            peer.until(lambda: agent._life and agent._life.orders.rollback)
            peer.down()
        assert agent.memory == {"n": 2}
        peer.up()
        until(lambda: run.execute(len, "") == 0 and agent.memory == {"n": 1}, 60)


def test_roll_back_and_resume(tmp_path: Path, peer: Peer) -> None:
    """An incident's decision: the waiting agent goes back, its pause is lifted, it goes on with guidance."""
    agent = agent_of(tmp_path, peer, memory={"n": 1})
    went: list[Any] = []

    def step(run: Run) -> None:
        if run.guidance:
            went.append((run.guidance, agent.memory["n"], run.rolled_back is not None))
            sys.exit(0)
        agent.memory["n"] += 1
        run.execute(breaks)

    def decide() -> None:
        state = peer.until(
            lambda: next((h["state"] for h in peer.headers if h["state"]["status"] == "paused"), None), 30
        )
        first = peer.until(lambda: peer.depot.taken)[0]
        order(
            peer, str(uuid.UUID(first["id"])), pause=state["pause"]["id"], goes_on=True, guidance="slowly",
            probation=True,
        )  # fmt: skip

    human = threading.Thread(target=decide)
    human.start()
    agent._arguments.heal = False
    with pytest.raises(SystemExit):
        agent.supervise(step)
    human.join()
    assert went == [("slowly", 1, True)]


def test_one_that_was_decided_while_nobody_ran_is_where_the_next_run_starts(
    tmp_path: Path, peer: Peer
) -> None:
    """Ordered for a paused agent that is to stay paused: its start goes back, and is still refused."""
    work = tmp_path / "work"
    agent = agent_of(tmp_path / "home", peer, memory={"n": 1}, workspace=work, heal=False)
    with paused(), agent.run() as run:
        (work / "a.txt").write_text("one")
        id = run.checkpoint().id
        (work / "a.txt").write_text("two")
        while True:
            try:
                run.execute(breaks)
            except ActionFailed:
                agent.memory["n"] += 1
    command = order(peer, id)
    again = agent_of(tmp_path / "home", peer, memory={"n": 1}, workspace=work, heal=False)
    with paused(), again.run():
        raise AssertionError
    assert ended(peer, command) == "done" and (work / "a.txt").read_text() == "one"


def test_what_was_left_is_kept_before_a_start_goes_back(tmp_path: Path, peer: Peer) -> None:
    """A new process begins with what its program says; the state just before is that of the last one."""
    agent = agent_of(tmp_path, peer, memory={"n": 0}, heal=False)
    with agent.run() as run:
        agent.memory["n"] = 1
        id = run.checkpoint().id
        agent.memory["n"] = 2
        run.checkpoint()
    command = order(peer, id)
    again = agent_of(tmp_path, peer, memory={"n": 0}, heal=False)
    with again.run() as run:
        assert ended(peer, command) == "done" and again.memory == {"n": 1}
        told = run.rolled_back
        assert told is not None and told.before is not None
        run.rollback(told.before)
        assert again.memory == {"n": 2}


@pytest.mark.parametrize(
    "point",
    [
        "rollback:recorded",
        "restore:after_plan",
        "restore:put",
        "rollback:files",
        "rollback:memory",
        "rollback:done",
    ],
)
def test_killed_at_any_point_the_next_start_finishes(tmp_path: Path, point: str) -> None:
    """Memory and files are both those of the checkpoint, whichever instant the process died at."""
    command = [sys.executable, "-c", DYING, str(tmp_path / "home"), str(tmp_path / "work")]
    died = subprocess.run(command, env={**os.environ, "SICKBAY_FAILPOINT": point}, timeout=60, check=False)
    assert died.returncode == 137
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1 [('a.txt', 'old'), ('only-old.txt', 'x')] True\n"


def test_a_rollback_at_the_entry_is_told_to_one_run(tmp_path: Path) -> None:
    """The run that begins after it hears of it; when that one is killed at once, the next does not."""
    command = [sys.executable, "-c", DYING, str(tmp_path / "home"), str(tmp_path / "work")]
    env = {**os.environ, "SICKBAY_FAILPOINT": "rollback:files"}
    assert subprocess.run(command, env=env, timeout=60, check=False).returncode == 137
    heard = [sys.executable, "-c", HEARS, str(tmp_path / "home"), str(tmp_path / "work")]
    told = [subprocess.run(heard, capture_output=True, text=True, timeout=60).stdout for _ in range(2)]
    assert told == ["True\n", "False\n"]
