"""Laws of the same core in an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sdk.tests.desk import breaks, of_kind, spend, works
from sickbay import ActionFailed, AgentPauseRequired, AsyncRun, BadArgument
from sickbay.testing import Harness


async def answers(value: Any = 4) -> Any:
    await asyncio.sleep(0)
    return value


async def refuses() -> None:
    await asyncio.sleep(0)
    raise ValueError("no such order")


def beside() -> None:
    """Wait for the threads that do the blocking parts; each ends with its call."""
    for thread in threading.enumerate():
        if thread.name == "sickbay-beside":
            thread.join(10)


def test_coroutine_functions_are_awaited_and_plain_ones_called(harness: Harness) -> None:
    """execute takes both kinds of functions, and both kinds of verifiers."""
    agent = harness.agent()

    async def says(result: int) -> bool:
        await asyncio.sleep(0)
        return result == 4

    async def main() -> None:
        async with agent.run() as run:
            assert await run.execute(answers, 4, verify=says) == 4
            assert await run.execute(works, 4, verify=lambda r: r == 4) == 4
            with pytest.raises(ActionFailed):
                await run.execute(answers, 5, verify=says)
            async with run.action("search", verify=says) as act:
                act.result = await answers()

    asyncio.run(main())
    outcomes = [(e["outcome"], e["verdict"]) for e in of_kind(harness, agent, "action")]
    assert outcomes == [("ok", "pass"), ("ok", "pass"), ("failed", "fail"), ("ok", "pass")]


def test_parallel_tasks_share_one_budget(harness: Harness) -> None:
    """Three failing tasks of a group spend the budget; the pause comes out of the group."""
    agent = harness.agent()

    async def careless(run: AsyncRun) -> None:
        try:
            await run.execute(refuses)
        except ActionFailed:
            await asyncio.sleep(0)

    async def main() -> None:
        async with agent.run() as run, asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(careless(run))

    with pytest.raises(BaseExceptionGroup) as caught:
        asyncio.run(main())
    assert caught.value.subgroup(AgentPauseRequired) is not None
    assert of_kind(harness, agent, "run")[-1]["name"] == "finished"
    assert len(of_kind(harness, agent, "pause")) == 1


def test_a_cancelled_action_is_cancelled(harness: Harness) -> None:
    """Cancelling a task cancels its action: no failure, and the cancellation goes on."""
    agent = harness.agent()

    async def main() -> None:
        async with agent.run() as run:
            task = asyncio.create_task(run.execute(asyncio.Event().wait, name="waits"))
            while not run._ward.ledger.in_flight:
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    (event,) = of_kind(harness, agent, "action")
    assert event["outcome"] == "cancelled"
    assert of_kind(harness, agent, "failure") == []


def test_cancelled_while_it_backs_off(harness: Harness) -> None:
    """A retry that is cancelled between two attempts ends as cancelled."""
    agent = harness.agent()

    class Stuck(type(harness.clock)):  # type: ignore[misc]
        async def awaiting(self, bell: Any, seconds: float | None) -> None:
            await bell.wait(None)

    agent._clock = Stuck()

    async def main() -> None:
        async with agent.run() as run:
            task = asyncio.create_task(run.execute(refuses, retries=3))
            while not run._ward.ledger.bells:
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert [e["outcome"] for e in of_kind(harness, agent, "action")] == ["cancelled"]


def test_nesting_is_known_in_tasks(harness: Harness) -> None:
    """An action begun in a task of an action has that action as its parent."""
    agent = harness.agent()

    async def main() -> None:
        async with agent.run() as run:

            async def outer() -> None:
                await asyncio.gather(run.execute(answers, name="a"), run.execute(answers, name="b"))

            await run.execute(outer)

    asyncio.run(main())
    a, b, outer = of_kind(harness, agent, "action")
    assert a["parent"] == b["parent"] == outer["act"]


def gives() -> Iterator[int]:
    yield 1


def test_generators_are_refused_here_too(harness: Harness) -> None:
    """A generator given to an async execute is refused with the same advice."""

    async def main() -> None:
        async with harness.agent().run() as run:
            with pytest.raises(BadArgument, match=r"run\.begin"):
                await run.execute(gives)

    asyncio.run(main())


def test_asupervise_waits_without_blocking_the_loop(harness: Harness) -> None:
    """While a paused agent waits for its decision, the loop goes on turning."""
    agent = harness.agent()
    heard: list[str | None] = []
    turns = [0]

    async def step(run: AsyncRun) -> None:
        if run.guidance:
            heard.append(run.guidance)
            sys.exit(0)
        await run.execute(refuses)

    async def decide() -> None:
        while not harness.clock.paused.is_set():
            turns[0] += 1
            await asyncio.sleep(0)
        harness.resume(agent, guidance="go on")

    async def main() -> None:
        other = asyncio.create_task(decide())
        try:
            await agent.asupervise(step)
        finally:
            await other

    with pytest.raises(SystemExit):
        asyncio.run(main())
    assert heard == ["go on"]
    assert turns[0] > 0


def test_the_stop_of_one_agent_leaves_its_neighbours_alone(harness: Harness) -> None:
    """Of two agents in one event loop the stopped one returns, and the other goes on."""
    stopped, other, acts = harness.agent("stopped"), harness.agent("other"), []
    spend(stopped)
    harness.stop(stopped)

    async def step(run: AsyncRun) -> None:
        acts.append(await run.execute(answers))
        await asyncio.sleep(0)

    async def main() -> None:
        going = asyncio.create_task(other.asupervise(step))
        await stopped.asupervise(step)
        before = len(acts)
        while len(acts) < before + 3:
            await asyncio.sleep(0)
        going.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await going

    asyncio.run(main())
    assert of_kind(harness, stopped, "action")[-1]["outcome"] == "failed"


def test_a_cancelled_start_gives_the_home_back(harness: Harness) -> None:
    """Cancelled while it is entering, a run leaves nothing held; the next one begins."""
    agent = harness.agent()

    async def enters() -> None:
        async with agent.run():
            raise AssertionError

    async def main() -> None:
        task = asyncio.create_task(enters())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    for _ in range(5):
        asyncio.run(main())
        beside()
    with agent.run() as run:
        assert run.execute(works) == 4


def test_no_thread_stays_behind(harness: Harness) -> None:
    """After the run is left, every thread that it started is gone."""
    before = threading.active_count()

    async def main() -> None:
        async with harness.agent().run() as run:
            await run.execute(answers)

    asyncio.run(main())
    beside()
    assert threading.active_count() == before


def test_a_coroutine_step_that_is_cancelled_ends_the_run(harness: Harness) -> None:
    """Cancelling asupervise leaves the run as finished."""
    agent = harness.agent()

    async def step(run: AsyncRun) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def main() -> None:
        global begun
        begun = asyncio.Event()
        task = asyncio.create_task(agent.asupervise(step))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert of_kind(harness, agent, "run")[-1]["name"] == "finished"


begun: asyncio.Event


def test_a_tool_may_be_a_coroutine_function(harness: Harness) -> None:
    """@agent.tool guards both kinds, and raises what they raised unchanged."""
    agent = harness.agent()

    @agent.tool(verify=bool)
    async def search(query: str) -> list[str]:
        await asyncio.sleep(0)
        if not query:
            raise LookupError("empty query")
        return [query]

    guarded = agent.tool(breaks)

    async def main() -> None:
        async with agent.run():
            assert await search("boiler") == ["boiler"]
            with pytest.raises(LookupError, match="empty query"):
                await search("")
            with pytest.raises(ValueError, match="no such order"):
                guarded()

    asyncio.run(main())
    assert len(of_kind(harness, agent, "failure")) == 2
