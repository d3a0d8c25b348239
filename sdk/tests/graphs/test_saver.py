"""Laws of the mirror: what the agent's memory knows of its graphs, and that a rollback is exact."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from sdk.tests.graphs.cast import HELLO, THREAD, Model, calls, graph_of, kept_of, texts
from sickbay import Agent, BadArgument, Memory
from sickbay.langgraph import GraphRolledBack, SickbaySaver, guard
from sickbay.memory import Codec, Lost
from sickbay.testing import Harness


def look_up(order: int) -> str:
    """Find an order."""
    return f"order {order} is 30 €"


def wrapped(agent: Agent, *answers: str | AIMessage) -> Any:
    return graph_of(SickbaySaver(InMemorySaver(), agent), Model(*answers), guard(agent, [look_up]))


def test_the_memory_shows_the_conversation(harness: Harness) -> None:
    """Messages stand there as a person reads them, beside the id of LangGraph's checkpoint."""
    agent = harness.agent()
    graph = wrapped(agent, calls("look_up", "c1", order=17), "It is 30 €")
    with agent.run():
        graph.invoke(HELLO, THREAD)
    kept = kept_of(agent)
    said = [(each["type"], each["content"]) for each in kept["values"]["messages"]]
    assert said == [
        ("human", "refund order 17"), ("ai", ""), ("tool", "order 17 is 30 €"), ("ai", "It is 30 €"),
    ]  # fmt: skip
    assert kept["checkpoint"] == graph.get_state(THREAD).config["configurable"]["checkpoint_id"]


def test_a_rollback_goes_on_from_exactly_there(harness: Harness) -> None:
    """Values and what is next are those of that time; what came after stays in the history, beside it."""
    agent = harness.agent()
    graph = wrapped(agent, "first", "second", "another second")
    with agent.run() as run:
        graph.invoke(HELLO, THREAD)
        good, then = run.checkpoint("good"), graph.get_state(THREAD)
        graph.invoke({"messages": [("user", "and now?")]}, THREAD)
        abandoned = graph.get_state(THREAD)
        run.rollback(to=good.id)
        back = graph.get_state(THREAD)
        assert (back.values, back.next, back.parent_config) == (then.values, then.next, then.parent_config)
        graph.invoke({"messages": [("user", "again?")]}, THREAD)
        assert texts(graph.get_state(THREAD).values) == [
            "refund order 17", "first", "again?", "another second",
        ]  # fmt: skip
        assert graph.get_state(abandoned.config).values == abandoned.values


def test_the_inner_saver_alone_agrees(harness: Harness) -> None:
    """After a rollback the newest checkpoint of the thread is the right one, also without Sickbay."""
    agent, inner = harness.agent(), InMemorySaver()
    graph = graph_of(SickbaySaver(inner, agent), Model("first", "second"), [])
    with agent.run() as run:
        graph.invoke(HELLO, THREAD)
        good = run.checkpoint("good")
        graph.invoke(HELLO, THREAD)
        run.rollback(to=good.id)
        graph.get_state(THREAD)
    found = inner.get_tuple(THREAD)
    assert found is not None
    assert texts(found.checkpoint["channel_values"]) == ["refund order 17", "first"]


def test_it_goes_back_once(harness: Harness) -> None:
    """What is stored after the rollback stays: neither a second look nor a restart goes back again."""
    agent, inner = harness.agent(), InMemorySaver()
    graph = graph_of(SickbaySaver(inner, agent), Model("first", "second", "third"), [])
    with agent.run() as run:
        graph.invoke(HELLO, THREAD)
        good = run.checkpoint("good")
        graph.invoke(HELLO, THREAD)
        run.rollback(to=good.id)
        graph.invoke(HELLO, THREAD)
        newest = graph.get_state(THREAD)
    again = harness.agent()
    graph = graph_of(SickbaySaver(inner, again), Model(), [])
    with again.run():
        assert graph.get_state(THREAD).config == newest.config


def test_it_goes_back_after_a_death_too(harness: Harness) -> None:
    """A rollback that the next process learns of puts the thread back there."""
    agent, inner = harness.agent(), InMemorySaver()
    graph = graph_of(SickbaySaver(inner, agent), Model("first", "second"), [])
    with agent.run() as run:
        graph.invoke(HELLO, THREAD)
        good = run.checkpoint("good")
        graph.invoke(HELLO, THREAD)
        run.rollback(to=good.id)  # and nobody looks at the graph any more
    again = harness.agent()
    graph = graph_of(SickbaySaver(inner, again), Model(), [])
    with again.run():
        assert texts(graph.get_state(THREAD).values) == ["refund order 17", "first"]


def test_a_restart_alone_goes_back_nowhere(harness: Harness) -> None:
    """What the inner saver stored after the last checkpoint is gone on from: nobody has rolled back."""
    agent, inner = harness.agent(), InMemorySaver()
    graph = graph_of(SickbaySaver(inner, agent), Model("first", "second"), [])
    with agent.run():
        graph.invoke(HELLO, THREAD)
    graph.invoke(HELLO, THREAD)  # after the run's last checkpoint, as when a process dies
    again = harness.agent()
    graph = graph_of(SickbaySaver(inner, again), Model(), [])
    with again.run():
        assert len(kept_of(again)["values"]["messages"]) == 2
        assert len(graph.get_state(THREAD).values["messages"]) == 4


def test_what_an_in_memory_saver_lost_is_made_again(harness: Harness) -> None:
    """Another process with an empty saver goes on from the agent's memory, with equal values and tasks."""
    agent = harness.agent()
    graph = wrapped(agent, calls("look_up", "c1", order=17), "unused")
    with agent.run():
        for _ in graph.stream(HELLO, THREAD, stream_mode="values", interrupt_before=["tools"]):
            pass
        before = graph.get_state(THREAD)
    again = harness.agent()
    graph = wrapped(again, "It is 30 €")
    with again.run():
        state = graph.get_state(THREAD)
        assert (state.values, state.next) == (before.values, ("tools",))
        assert texts(graph.invoke(None, THREAD))[-2:] == ["order 17 is 30 €", "It is 30 €"]


def test_a_thread_that_was_not_there_yet_begins_anew(harness: Harness) -> None:
    """A rollback to before its first message leaves nothing of it in force."""
    agent = harness.agent()
    graph = wrapped(agent, "first", "anew")
    harness.clock.set_wall(1.0)  # older than any checkpoint of LangGraph's, whose clock is the real one
    with agent.run() as run:
        nothing = run.checkpoint("nothing yet")
        graph.invoke(HELLO, THREAD)
        run.rollback(to=nothing.id)
        assert graph.get_state(THREAD).values == {}
        assert texts(graph.invoke(HELLO, THREAD)) == ["refund order 17", "anew"]


def test_a_graph_that_runs_on_after_a_rollback_is_ended(harness: Harness) -> None:
    """What it stores is refused, and the error is counted as nobody's failure."""
    agent = harness.agent()
    saver = SickbaySaver(InMemorySaver(), agent)

    def model(state: Any) -> dict[str, Any]:
        run.rollback(to=good.id)
        return {"messages": [AIMessage("of a state that is gone")]}

    graph = graph_of(saver, model, [])
    seen: list[str] = []

    def step(_: Any) -> None:
        with pytest.raises(GraphRolledBack):
            graph.invoke(HELLO, THREAD, durability="sync")
        seen.append("ended")

    with agent.run() as run:
        good = run.checkpoint("good")
        step(run)
        assert "threads" in agent.memory["langgraph"]  # type: ignore[index]
        assert agent.memory["langgraph"]["threads"] == {}  # type: ignore[index]
    assert [event for event in harness.events(agent) if event["kind"] == "failure"] == []


def test_so_many_threads_are_kept(harness: Harness) -> None:
    """Those that were stored last; the others stay where they are."""
    agent = harness.agent()
    saver = SickbaySaver(InMemorySaver(), agent, threads=2)
    graph = graph_of(saver, Model("1", "2", "3", "4"), [])
    with agent.run():
        for thread in ("a", "b", "a", "c"):
            graph.invoke(HELLO, {"configurable": {"thread_id": thread}})
    assert sorted(agent.memory["langgraph"]["threads"]) == ["a", "c"]  # type: ignore[index]


def test_a_deleted_thread_is_forgotten(harness: Harness) -> None:
    """It is not made again from the memory."""
    agent = harness.agent()
    graph = wrapped(agent, "first")
    with agent.run():
        graph.invoke(HELLO, THREAD)
        graph.checkpointer.delete_thread("7")
        assert graph.get_state(THREAD).values == {}


def test_it_works_awaited(harness: Harness) -> None:
    """The same, without a blocking call in the loop."""
    agent = harness.agent()
    graph = wrapped(agent, "first", "second", "another second")

    async def main() -> None:
        async with agent.run() as run:
            await graph.ainvoke(HELLO, THREAD)
            good, then = await run.checkpoint("good"), await graph.aget_state(THREAD)
            await graph.ainvoke(HELLO, THREAD)
            await run.rollback(to=good.id)
            back = await graph.aget_state(THREAD)
            assert (back.values, back.next) == (then.values, then.next)
            assert texts(await graph.ainvoke(HELLO, THREAD))[-1] == "another second"

    asyncio.run(main())


def test_wrong_arguments_say_what_to_write(harness: Harness, tmp_path: Path) -> None:
    """A saver that is none, and an agent whose memory is not a dict."""
    with pytest.raises(BadArgument, match="InMemorySaver"):
        SickbaySaver({}, harness.agent())  # type: ignore[arg-type]
    agent = harness.agent("other", memory=Memory(save=dict, load=lambda said: None))
    with pytest.raises(BadArgument, match="give the agent a dict"):
        SickbaySaver(InMemorySaver(), agent)


def test_a_class_that_was_not_given_is_lost_and_said(harness: Harness) -> None:
    """It is shown in the memory, and making it again from there is refused by name."""
    codec = Codec()
    shown = codec.encode({"message": HumanMessage("hi"), "codec": codec})
    assert shown["codec"]["type"] == "sickbay.memory.Codec"
    with pytest.raises(Lost, match=r"types=\(Codec,\)"):
        codec.decode(shown)


def test_a_delta_channel_goes_back_exactly(harness: Harness) -> None:
    """Its values are made of what was written before: the copy has the same history, and another future."""
    agent = harness.agent()
    state: Any = TypedDict("State", {"said": Annotated[list, DeltaChannel(_joined)]})  # type: ignore[operator]
    builder = StateGraph(state)
    builder.add_node("say", lambda state: {"said": [f"{len(state['said'])}"]})
    builder.add_edge(START, "say")
    graph = builder.compile(checkpointer=SickbaySaver(InMemorySaver(), agent))
    with agent.run() as run:
        for _ in range(3):
            graph.invoke({"said": ["more"]}, THREAD)
        good, then = run.checkpoint("good"), graph.get_state(THREAD).values
        graph.invoke({"said": ["wrong"]}, THREAD)
        run.rollback(to=good.id)
        assert graph.get_state(THREAD).values == then
        assert graph.invoke({"said": ["right"]}, THREAD)["said"] == [*then["said"], "right", "7"]
        run.rollback(to=good.id)
        assert graph.get_state(THREAD).values == then


def test_a_subgraph_with_a_memory_of_its_own_goes_back_too(harness: Harness) -> None:
    """Its thread is rolled back beside its parent's."""
    agent = harness.agent()
    inner = StateGraph(MessagesState)
    inner.add_node("count", lambda state: {"messages": [AIMessage(f"seen {len(state['messages'])}")]})
    inner.add_edge(START, "count")
    outer = StateGraph(MessagesState)
    outer.add_node("inner", inner.compile(checkpointer=True))
    outer.add_edge(START, "inner")
    graph = outer.compile(checkpointer=SickbaySaver(InMemorySaver(), agent))
    with agent.run() as run:
        graph.invoke(HELLO, THREAD)
        good = run.checkpoint("good")
        second = texts(graph.invoke(HELLO, THREAD))
        run.rollback(to=good.id)
        assert texts(graph.invoke(HELLO, THREAD)) == second


def _joined(before: list[str], writes: list[list[str]]) -> list[str]:
    return [*before, *(each for write in writes for each in write)]
