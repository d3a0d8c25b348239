"""Laws of a turn: a graph pauses, asks and goes on like any agent, and does nothing twice."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt
from pydantic import BaseModel

from sdk.tests.desk import of_kind, paused
from sdk.tests.graphs.cast import HELLO, THREAD, Model, calls, graph_of, kept_of, texts
from sickbay import ActionFailed, Agent, AgentPauseRequired, BadArgument, FailureBudget
from sickbay.langgraph import GraphRolledBack, SickbaySaver, ainvoke, guard, invoke
from sickbay.testing import Harness


def broken(order: int) -> str:
    """Refund an order."""
    raise LookupError("no such order")


def works(order: int) -> str:
    """Refund an order."""
    return f"refunded {order}"


def asking(state: Any) -> dict[str, Any]:
    return {"messages": [AIMessage(f"you said {interrupt('Refund 500 €?')}")]}


def of(agent: Agent, node: Any, *tools: Any, inner: Any = None, **how: Any) -> Any:
    return graph_of(SickbaySaver(inner or InMemorySaver(), agent), node, guard(agent, tools), **how)


def test_a_turn_returns_what_the_graph_returns(harness: Harness) -> None:
    """And each super-step is a checkpoint that is called by thread and step."""
    agent = harness.agent()
    graph = of(agent, Model(calls("works", "c1", order=17), "done"), works)
    with agent.run() as run:
        assert texts(invoke(run, graph, HELLO, THREAD))[-2:] == ["refunded 17", "done"]
        labels = [taken.label for taken in run._ward.points._keeper.shelf.usable()]
    assert [label for label in labels if label] == ["7, step 3", "7, step 2", "7, step 1", "7, step 0"]


def test_a_spent_budget_waits_and_the_model_is_told_what_the_human_said(harness: Harness) -> None:
    """The failing call is not tried again: its result is the guidance, and the graph goes on in place."""
    agent = harness.agent(budget=FailureBudget(max_consecutive=2))
    model = Model(calls("broken", "c1", order=1), calls("broken", "c2", order=2), "I leave it")
    graph = of(agent, model, broken, handle_tool_errors=True)
    with paused(), agent.run() as run:
        invoke(run, graph, HELLO, THREAD)
    harness.resume(agent, guidance="leave order 2 alone")
    with agent.run() as run:
        values = invoke(run, graph, HELLO, THREAD)
    assert texts(values)[-1] == "I leave it"
    assert texts(values)[-2].endswith("They say: leave order 2 alone")
    assert texts(values).count("refund order 17") == 1
    assert len(of_kind(harness, agent, "failure")) == 2


def test_without_guidance_the_call_is_tried_again(harness: Harness) -> None:
    """*Resume* alone means: once more."""
    agent = harness.agent(budget=FailureBudget(max_consecutive=1))
    broke = [True]

    def mended(order: int) -> str:
        """Refund an order."""
        if broke.pop():
            broke.append(False)
            raise LookupError("no such order")
        return "refunded"

    graph = of(agent, Model(calls("mended", "c1", order=1), "done"), mended)
    with paused(), agent.run() as run:
        invoke(run, graph, HELLO, THREAD)
    harness.resume(agent)
    with agent.run() as run:
        assert texts(invoke(run, graph, HELLO, THREAD))[-2:] == ["refunded", "done"]


def test_a_humans_pause_takes_hold_between_super_steps(harness: Harness) -> None:
    """The super-step that runs is finished and kept; the next one waits."""
    agent = harness.agent()
    model = Model(calls("works", "c1", order=1), "done")

    def pausing(state: Any) -> Any:
        answer = model(state)
        if len(model.shown) == 1:
            harness.pause(agent, "let me look")
        return answer

    graph = of(agent, pausing, works)
    with pytest.raises(AgentPauseRequired, match="let me look"), agent.run() as run:
        invoke(run, graph, HELLO, THREAD)
    assert graph.get_state(THREAD).next == ("tools",)
    assert of_kind(harness, agent, "action") == []
    harness.resume(agent)
    with agent.run() as run:
        assert texts(invoke(run, graph, HELLO, THREAD))[-1] == "done"


def test_an_interrupt_waits_for_an_answer(harness: Harness) -> None:
    """The agent is paused with the question; the guidance is what `interrupt` returns; nothing counts."""
    agent = harness.agent()
    graph = of(agent, asking)
    with pytest.raises(AgentPauseRequired) as caught, agent.run() as run:
        invoke(run, graph, HELLO, THREAD)
    assert (caught.value.owner, caught.value.cause) == ("human", "waiting for an answer: Refund 500 €?")
    harness.resume(agent, guidance="no, 50 €")
    with agent.run() as run:
        assert texts(invoke(run, graph, HELLO, THREAD))[-1] == "you said no, 50 €"
    assert of_kind(harness, agent, "failure") == []


def test_resume_without_a_word_is_yes(harness: Harness) -> None:
    """Approved: `interrupt` returns True."""
    agent = harness.agent()
    graph = of(agent, asking)
    with paused(), agent.run() as run:
        invoke(run, graph, HELLO, THREAD)
    harness.resume(agent)
    with agent.run() as run:
        assert texts(invoke(run, graph, HELLO, THREAD))[-1] == "you said True"


def test_an_answer_is_for_one_question(harness: Harness) -> None:
    """A second question, and guidance that was given to something else, are asked anew."""
    agent = harness.agent(budget=FailureBudget(max_consecutive=1))

    def two(state: Any) -> dict[str, Any]:
        return {"messages": [AIMessage(f"{interrupt('one?')} and {interrupt('two?')}")]}

    graph = of(agent, two)
    with paused(), agent.run() as run, pytest.raises(ActionFailed):
        run.execute(broken, 1)
    harness.resume(agent, guidance="try once more")
    for question, said in (("one?", "1"), ("two?", "2")):
        asks = pytest.raises(AgentPauseRequired, match=f"waiting for an answer: {question[:-1]}")
        with asks, agent.run() as run:
            invoke(run, graph, HELLO, THREAD)
        harness.resume(agent, guidance=said)
    with agent.run() as run:
        assert texts(invoke(run, graph, HELLO, THREAD))[-1] == "1 and 2"


def test_start_again_is_no_answer(harness: Harness) -> None:
    """An agent that was stopped at its question asks it once more."""
    agent = harness.agent()
    graph = of(agent, asking)
    with paused(), agent.run() as run:
        invoke(run, graph, HELLO, THREAD)
    harness.stop(agent)
    harness.start(agent)
    with pytest.raises(AgentPauseRequired, match="Refund 500"), agent.run() as run:
        invoke(run, graph, HELLO, THREAD)


def test_an_answer_that_does_not_fit_is_asked_for_again(harness: Harness) -> None:
    """It is nobody's failure."""

    class Amount(BaseModel):
        euros: int

    agent = harness.agent()

    def strict(state: Any) -> dict[str, Any]:
        return {"messages": [AIMessage(str(interrupt("how much?", response_schema=Amount)))]}

    graph = of(agent, strict)
    with paused(), agent.run() as run:
        invoke(run, graph, HELLO, THREAD)
    harness.resume(agent, guidance="fifty")
    with pytest.raises(AgentPauseRequired, match="how much"), agent.run() as run:
        with pytest.raises(ValueError, match="Amount"):
            invoke(run, graph, HELLO, THREAD)
        invoke(run, graph, HELLO, THREAD)
    assert of_kind(harness, agent, "failure") == []


def test_under_supervise_it_waits_in_place(harness: Harness) -> None:
    """Question, answer, next ticket: one loop, one process."""
    agent = harness.agent(memory={"ticket": 1})
    graph = of(agent, asking)
    said: list[str] = []

    def step(run: Any) -> None:
        thread: Any = {"configurable": {"thread_id": str(agent.memory["ticket"])}}  # type: ignore[index]
        said.append(texts(invoke(run, graph, HELLO, thread))[-1])
        agent.memory["ticket"] += 1  # type: ignore[index]
        if len(said) == 2:
            sys.exit(0)

    def human() -> None:
        for word in ("first", "second"):
            harness.clock.paused.wait(20)
            harness.clock.paused.clear()
            harness.resume(agent, guidance=word)

    answering = threading.Thread(target=human)
    answering.start()
    with pytest.raises(SystemExit):
        agent.supervise(step)
    answering.join(20)
    assert said == ["you said first", "you said second"]


def test_a_failed_verification_goes_back_and_the_model_is_asked_again(harness: Harness) -> None:
    """Under supervise the thread is back at the last good step, and the turn begins there."""
    agent = harness.agent()
    model = Model(calls("works", "c1", order=1), calls("works", "c2", order=2), "done")
    tools = guard(agent, [works], verify=lambda said: said == "refunded 2")
    graph = graph_of(SickbaySaver(InMemorySaver(), agent), model, tools)

    def step(run: Any) -> None:
        assert texts(invoke(run, graph, HELLO, THREAD))[-2:] == ["refunded 2", "done"]
        sys.exit(0)

    with pytest.raises(SystemExit):
        agent.supervise(step)
    assert len(of_kind(harness, agent, "failure")) == 1
    assert [each.content for each in model.shown[1]] == ["refund order 17"]
    assert kept_of(agent)["values"]["messages"][-1]["content"] == "done"


def test_a_rollback_meanwhile_ends_the_turn(harness: Harness) -> None:
    """What the next super-step would have done of a state that is gone is not done."""
    agent = harness.agent()

    def model(state: Any) -> dict[str, Any]:
        run.rollback(to=good.id)
        return {"messages": [calls("works", "c1", order=1)]}

    graph = of(agent, model, works)
    with agent.run() as run:
        good = run.checkpoint("good")
        with pytest.raises(GraphRolledBack):
            invoke(run, graph, HELLO, THREAD)
    assert of_kind(harness, agent, "action") == []


def test_it_works_awaited(harness: Harness) -> None:
    """The same question, awaited."""
    agent = harness.agent()
    graph = of(agent, asking)

    async def turn() -> Any:
        async with agent.run() as run:
            return await ainvoke(run, graph, HELLO, THREAD)

    with paused():
        asyncio.run(turn())
    harness.resume(agent, guidance="50 €")
    assert texts(asyncio.run(turn()))[-1] == "you said 50 €"


def test_a_graph_without_the_saver_is_refused(harness: Harness) -> None:
    """With the sentence to write."""
    graph = graph_of(InMemorySaver(), Model(), [])  # type: ignore[arg-type]
    with harness.agent().run() as run, pytest.raises(BadArgument, match="SickbaySaver"):
        invoke(run, graph, HELLO, THREAD)


@pytest.mark.parametrize("where", ["compiled", "given"])
def test_a_breakpoint_before_a_node_waits_for_a_human(harness: Harness, where: str) -> None:
    """`interrupt_before=` pauses the agent before the tools run; *Resume* goes on, in whichever process."""
    agent = harness.agent()
    saver = SickbaySaver(InMemorySaver(), agent)
    model = Model(calls("works", "c1", order=17), "done")
    builder = graph_of(saver, model, guard(agent, [works])).builder
    stops = {"interrupt_before": ["tools"]}
    graph = builder.compile(checkpointer=saver, **(stops if where == "compiled" else {}))
    how = stops if where == "given" else {}
    for _ in range(2):  # asked again, it is the same pause
        with pytest.raises(AgentPauseRequired, match=r"Go on with tools\?"), agent.run() as run:
            invoke(run, graph, HELLO, THREAD, **how)
    assert of_kind(harness, agent, "action") == []
    harness.resume(agent)
    with agent.run() as run:
        assert texts(invoke(run, graph, HELLO, THREAD, **how))[-2:] == ["refunded 17", "done"]


def test_a_breakpoint_holds_although_the_turn_was_broken_off_there(harness: Harness) -> None:
    """A process that died between the super-step and its question asks when it is back."""
    agent = harness.agent()
    saver = SickbaySaver(InMemorySaver(), agent)
    model = Model(calls("works", "c1", order=17), "done")
    builder = graph_of(saver, model, guard(agent, [works])).builder
    graph = builder.compile(checkpointer=saver, interrupt_after=["model"])
    graph.invoke(HELLO, THREAD)  # nobody asked
    with paused(), agent.run() as run:
        invoke(run, graph, HELLO, THREAD)
    assert of_kind(harness, agent, "action") == []
    harness.resume(agent)
    with agent.run() as run:
        assert texts(invoke(run, graph, HELLO, THREAD))[-1] == "done"
    assert len(of_kind(harness, agent, "action")) == 1


def test_several_questions_get_an_answer_each(harness: Harness) -> None:
    """Two nodes that ask at once are answered one after the other, each by what was said to it."""
    agent = harness.agent()

    def asks(question: str) -> Any:
        return lambda state: {"messages": [AIMessage(f"{question} {interrupt(question)}")]}

    builder: StateGraph[Any] = StateGraph(MessagesState)
    for name, question in (("first", "Refund 500 €?"), ("second", "Close the account?")):
        builder.add_node(name, asks(question))
        builder.add_edge(START, name)
    graph = builder.compile(checkpointer=SickbaySaver(InMemorySaver(), agent))
    answers = {"Refund 500 €?": "yes", "Close the account?": "no"}
    for n in range(2):
        with pytest.raises(AgentPauseRequired) as caught, agent.run() as run:
            invoke(run, graph, HELLO, THREAD)
        asked = next(question for question in answers if question in caught.value.cause)
        assert ("and 1 more" in caught.value.cause) == (n == 0)
        harness.resume(agent, guidance=answers.pop(asked))
    with agent.run() as run:
        said = texts(invoke(run, graph, HELLO, THREAD))
    assert {"Refund 500 €? yes", "Close the account? no"} <= set(said)
