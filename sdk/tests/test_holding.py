"""Laws of the held tool: its calls wait, everything else goes on, and nothing is lost or counted."""

from __future__ import annotations

import asyncio
import functools
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sdk.tests.desk import breaks, of_kind, paused, works
from sdk.tests.peer import Peer
from sdk.tests.test_rollback import agent_of, ended, order
from sickbay import ActionFailed, AgentPauseRequired, Run
from sickbay._holding import ALONE
from sickbay._state import StateFile
from sickbay.testing import FakeClock, Harness
from tests.waiting import until


class Stage:
    """Calls in threads of their own, and what became of them."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.raised: list[BaseException] = []
        self.threads: list[threading.Thread] = []

    def call(self, run: Run, tool: str, **options: Any) -> threading.Thread:
        def work() -> None:
            try:
                run.execute(functools.partial(self.done.append, tool), name=tool, **options)
            except BaseException as error:
                self.raised.append(error)

        thread = threading.Thread(target=work, daemon=True)
        self.threads.append(thread)
        thread.start()
        return thread


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    for thread in stage.threads:
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer() as peer:
        yield peer


def doing(run: Run) -> Any:
    return run._ward.ledger.snapshot()["doing"]


def held(run: Run) -> Any:
    return run._ward.ledger.snapshot()["held"]


@contextmanager
def going(harness: Harness, *tools: str, **arguments: Any) -> Iterator[Run]:
    """A run that holds these tools."""
    agent = harness.agent(**arguments)
    with agent.run() as run:
        harness.hold(agent, *tools)
        yield run


def waits(stage: Stage, run: Run, tool: str = "pay", **options: Any) -> threading.Thread:
    """A call that waits; as an effect, so that no hour lets it go."""
    thread = stage.call(run, tool, external=True, **options)
    until(lambda: held(run).get(tool))
    return thread


def test_a_call_waits_while_others_go_on(harness: Harness, stage: Stage) -> None:
    """The state says for what it waits, and since when; another tool's runs; the lift wakes it at once."""
    with going(harness, "pay") as run:
        thread = waits(stage, run)
        assert doing(run) == "waiting for pay (held)" and run._ward.ledger.snapshot()["doing_since"]
        assert run.execute(works, 5, name="search") == 5 and stage.done == []
        harness.hold(run.agent)
        thread.join(10)
        assert stage.done == ["pay"] and held(run) == {} and doing(run) is None
    titles = [line["title"] for line in of_kind(harness, run.agent, "command")]
    assert titles == ["pay is held by the harness", "pay is no longer held"]


def test_waiting_is_no_failure(harness: Harness, stage: Stage) -> None:
    """Whatever it waited, it is one action that went well, and it took as long as it took."""
    with going(harness, "pay") as run:
        thread = waits(stage, run)
        harness.clock.advance(100_000)
        harness.hold(run.agent)
        thread.join(10)
        account = run._ward.ledger.data.account
        assert not account.streak and not account.hour
    (action,) = [line for line in of_kind(harness, run.agent, "action") if line["name"] == "pay"]
    assert action["outcome"] == "ok" and action["took_ms"] < 5_000


def test_every_way_to_begin_waits(harness: Harness, stage: Stage) -> None:
    """`with`, `begin`, and a tool of the agent, as `execute`."""
    agent = harness.agent()

    @agent.tool
    def pay() -> None:
        stage.done.append("tool")

    def blocks(run: Run) -> None:
        with run.action("pay", external=True):
            stage.done.append("with")

    def begins(run: Run) -> None:
        act = run.begin("pay", external=True)
        stage.done.append("begin")
        act.end()

    with agent.run() as run:
        harness.hold(agent, "pay")
        harness.clock.wait = functools.partial(_sleeps, harness.clock)  # type: ignore[method-assign]
        for work in (functools.partial(blocks, run), functools.partial(begins, run), pay):
            thread = threading.Thread(target=work, daemon=True)
            stage.threads.append(thread)
            thread.start()
        until(lambda: held(run).get("pay") == 3)
        assert doing(run) == "waiting for pay (held, 3 calls)" and stage.done == []
        harness.hold(agent)
        until(lambda: sorted(stage.done) == ["begin", "tool", "with"])


def _sleeps(clock: FakeClock, bell: Any, seconds: float | None) -> None:
    bell.wait(None)


def test_an_event_loop_goes_on(harness: Harness) -> None:
    """A held call of one task leaves the others their loop, in `execute` and in `async with`."""

    async def main() -> list[str]:
        done: list[str] = []
        agent = harness.agent()
        async with agent.run() as run:
            harness.hold(agent, "pay")

            async def blocks() -> None:
                async with run.action("pay", external=True):
                    done.append("with")

            pay = functools.partial(done.append, "execute")
            tasks = [asyncio.create_task(run.execute(pay, name="pay", external=True))]
            tasks.append(asyncio.create_task(blocks()))
            while held(run).get("pay") != 2:  # type: ignore[arg-type]
                await asyncio.sleep(0)
            await run.execute(functools.partial(done.append, "search"), name="search")
            harness.hold(agent)
            await asyncio.gather(*tasks)
        return done

    done = asyncio.run(main())
    assert done[0] == "search" and sorted(done[1:]) == ["execute", "with"]


def test_a_pause_interrupts_the_wait(harness: Harness, stage: Stage) -> None:
    """Nothing is in flight, so the agent is paused at once; after the resume the call waits anew."""
    agent = harness.agent()
    with paused(), agent.run() as run:
        harness.hold(agent, "pay")
        thread = waits(stage, run)
        harness.pause(agent)
        thread.join(10)
        assert isinstance(stage.raised[0], AgentPauseRequired) and stage.done == []
        assert run._ward.ledger.snapshot()["status"] == "paused" and held(run) == {}
        run.execute(works)
    harness.resume(agent)
    with agent.run() as run:
        thread = waits(stage, run)
        harness.hold(agent)
        thread.join(10)
    assert stage.done == ["pay"]


def test_leaving_interrupts_the_wait(harness: Harness, stage: Stage) -> None:
    """A process that is asked to end does not hang in a held call."""
    with going(harness, "pay") as run:
        thread = waits(stage, run)
        assert run.agent._life is not None
        run.agent._life.leave()
        thread.join(10)
    assert type(stage.raised[0]).__name__ == "Leaving" and stage.done == []


def test_a_rollback_is_obeyed_while_a_call_waits(tmp_path: Path, peer: Peer, stage: Stage) -> None:
    """Between the actions is a safe point: the agent goes back, and then waits on."""
    agent = agent_of(tmp_path, peer, memory={"n": 1})
    with agent.run() as run:
        good = run.checkpoint().id
        agent.memory["n"] = 2
        peer.order_command("hold", holds=[{"tool": "pay"}])
        until(lambda: run._ward.ledger.holds.tools)
        thread = waits(stage, run)
        peer.until(lambda: uuid.UUID(good).hex in [header["id"] for header in peer.depot.taken])
        assert ended(peer, order(peer, good)) == "done" and agent.memory == {"n": 1}
        until(lambda: held(run).get("pay"))
        assert stage.done == []
        peer.order_command("hold", holds=[])
        thread.join(10)
    assert stage.done == ["pay"]


def test_a_command_is_obeyed_and_the_wait_is_told(tmp_path: Path, peer: Peer, stage: Stage) -> None:
    """With receipts; and the state with the calls that wait travels at once."""
    agent = agent_of(tmp_path, peer)
    with agent.run() as run:
        command = peer.order_command("hold", holds=[{"tool": "pay", "by": "alice", "reason": "known bug"}])
        until(lambda: run._ward.ledger.holds.tools)
        thread = waits(stage, run)
        peer.until(lambda: peer.headers and peer.headers[-1]["state"]["held"] == {"pay": 1})
        assert peer.headers[-1]["state"]["doing"] == "waiting for pay (held)"
        peer.down()
        assert run.execute(works, 3, name="search") == 3 and stage.done == []
        peer.up()
        peer.order_command("hold", holds=[])
        thread.join(20)
        assert stage.done == ["pay"]
        peer.until(lambda: peer.headers[-1]["state"]["held"] == {})
    said = [each["state"] for each in peer.receipts if each["id"] == command["id"]]
    assert said == ["taken", "done"]


def test_a_start_is_told(tmp_path: Path, peer: Peer, stage: Stage) -> None:
    """The first call of a new home waits already: the answer to its registration says so."""
    peer.holds = [{"tool": "pay", "by": "alice", "reason": "", "since": 0.0}]
    with agent_of(tmp_path, peer).run() as run:
        thread = waits(stage, run)
        peer.order_command("hold", holds=[])
        thread.join(10)
    assert stage.done == ["pay"]
    peer.holds = []
    with agent_of(tmp_path, peer).run() as run:
        stage.call(run, "pay").join(10)
    assert stage.done == ["pay", "pay"]


def test_who_hears_no_commands_asks(tmp_path: Path, peer: Peer, stage: Stage) -> None:
    """A frozen host has no listener, and its waiting call is let go all the same."""
    agent = agent_of(tmp_path, peer)
    agent._clock = FakeClock()
    peer.holds = [{"tool": "pay"}]
    with agent.run(beat=False) as run:
        thread = waits(stage, run)
        peer.order_command("hold", holds=[])
        thread.join(10)
    assert stage.done == ["pay"]


def test_a_retry_waits_too(harness: Harness) -> None:
    """Each attempt is a call: what is held between two of them is not called again."""
    agent = harness.agent()
    calls: list[int] = []

    def pay() -> str:
        calls.append(1)
        if len(calls) == 1:
            harness.hold(agent, "pay")
            raise ConnectionError
        return "paid"

    with agent.run() as run:
        results: list[str] = []
        thread = threading.Thread(
            target=lambda: results.append(
                run.execute(pay, retries=3, external=True, key="k", confirm=lambda _: False)
            ),
            daemon=True,
        )
        thread.start()
        until(lambda: held(run).get("pay"))
        assert doing(run) == "pay (and waiting for pay, held)" and len(calls) == 1
        harness.hold(agent)
        thread.join(10)
    assert results == ["paid"] and len(calls) == 2


def test_what_is_done_needs_no_call(harness: Harness) -> None:
    """The recorded result of an effect comes back although its tool is held."""
    agent = harness.agent()
    with agent.run() as run:
        run.execute(works, 7, name="pay", external=True, key="k")
        harness.hold(agent, "pay")
        assert run.execute(works, 8, name="pay", external=True, key="k") == 7


def test_a_waiting_key_is_free(harness: Harness, stage: Stage) -> None:
    """Two calls with one key may wait side by side; the effect happens once."""
    with going(harness, "pay") as run:
        waits(stage, run, key="k")
        stage.call(run, "pay", external=True, key="k")
        until(lambda: held(run) == {"pay": 2})
        harness.hold(run.agent)
        for thread in stage.threads:
            thread.join(10)
    assert stage.done == ["pay"]


def test_a_restart_obeys(harness: Harness, stage: Stage) -> None:
    """What was held is in the state file, in both its copies."""
    with going(harness, "pay"):
        pass
    with harness.agent().run() as run:
        thread = waits(stage, run)
        harness.hold(run.agent)
        thread.join(10)
    clock = harness.clock
    home = next(harness.base.rglob("state.json")).parent
    assert StateFile(home, clock).data.holds == {} and stage.done == ["pay"]


def test_without_a_server_an_hour_holds(harness: Harness) -> None:
    """Then what can be repeated goes on, and says so; the state had said so long that it waited."""
    with going(harness, "search") as run:
        began = harness.clock.boot()
        assert run.execute(works, 1, name="search") == 1
        assert harness.clock.boot() - began == pytest.approx(ALONE)
        assert run.execute(works, 2, name="search") == 2
    titles = [line["title"] for line in of_kind(harness, run.agent, "signal")]
    assert titles == ["search goes on although it is held: the server has not answered for an hour"]


def test_without_a_server_an_effect_waits_on(harness: Harness, stage: Stage) -> None:
    """What cannot be undone waits until somebody lifts it, over a reboot, too."""
    with going(harness, "pay"):
        pass
    harness.clock.advance(30 * 86_400)
    harness.clock.reboot()
    with harness.agent().run() as run:
        thread = waits(stage, run)
        assert stage.done == []
        harness.hold(run.agent)
        thread.join(10)
    assert stage.done == ["pay"]


def test_a_word_of_the_server_renews_the_hour(harness: Harness) -> None:
    with going(harness, "search") as run:
        harness.clock.advance(ALONE - 10)
        run._ward.ledger.holds.heard()
        began = harness.clock.boot()
        run.execute(works, name="search")
        assert harness.clock.boot() - began == pytest.approx(ALONE)


def test_an_older_list_changes_nothing(harness: Harness) -> None:
    """Two threads may hear of two lists: the newer one counts, in whatever order they come."""
    with going(harness, "pay") as run:
        life = run.agent._life
        assert life is not None
        life.orders.holds([], harness.clock.wall() - 1)
        assert set(run._ward.ledger.holds.tools) == {"pay"}
        life.orders.holds([{"tool": "mail"}, {"tool": 4}, "x"], harness.clock.wall() + 1)  # type: ignore[list-item]
        assert set(run._ward.ledger.holds.tools) == {"mail"}
        harness._give(
            run.agent,
            {"kind": "hold", "ordered_at": harness.clock.wall() + 9, "payload": {"holds": "no list"}},
        )
        assert set(run._ward.ledger.holds.tools) == {"mail"}


def test_a_failure_elsewhere_pauses_who_waits(harness: Harness, stage: Stage) -> None:
    """The budget is spent by other work: the waiting call meets the pause."""
    agent = harness.agent()
    with paused(), agent.run() as run:
        harness.hold(agent, "pay")
        thread = waits(stage, run)
        for _ in range(2):
            with pytest.raises(ActionFailed):
                run.execute(breaks)
        with paused():
            run.execute(breaks)
        thread.join(10)
        assert isinstance(stage.raised[0], AgentPauseRequired)
        run.execute(works)
