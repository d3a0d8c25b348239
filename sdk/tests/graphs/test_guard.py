"""Laws of guarded tools: each call is an action, wherever the graph makes it, and nothing else changes."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import InjectedToolCallId, ToolException, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import MessagesState
from langgraph.prebuilt import InjectedState
from langgraph.types import Command, interrupt

from sdk.tests.desk import of_kind, paused
from sdk.tests.graphs.cast import HELLO, THREAD, Model, calls, graph_of
from sickbay import ActionFailed, Agent, BadArgument, NoRun
from sickbay.langgraph import SickbaySaver, guard
from sickbay.testing import Harness


@tool
def refund(order: int, state: Annotated[MessagesState, InjectedState]) -> str:
    """Refund an order."""
    done.append(order)
    return f"refunded {order}"


done: list[int] = []


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    done.clear()


def running(agent: Agent, tools: list[Any], *answers: Any, **how: Any) -> Any:
    return graph_of(SickbaySaver(InMemorySaver(), agent), Model(*answers), tools, **how)


def test_a_call_is_an_action_with_what_the_model_gave(harness: Harness) -> None:
    """Its name, and its arguments without what LangGraph injects."""
    agent = harness.agent()
    graph = running(agent, guard(agent, [refund]), calls("refund", "c1", order=17), "done")
    with agent.run():
        graph.invoke(HELLO, THREAD)
    (told,) = of_kind(harness, agent, "action")
    assert (told["name"], told["input"], told["output"]) == ("refund", {"order": 17}, "refunded 17")


def test_the_model_sees_the_same_tool(harness: Harness) -> None:
    """Name, description and schema are those of the tool that was given, which stays unguarded."""
    (guarded,) = guard(harness.agent(), [refund])
    assert (guarded.name, guarded.description, guarded.args) == (
        refund.name, refund.description, refund.args,
    )  # fmt: skip
    assert refund.func is not None and refund.invoke({"order": 1, "state": {"messages": []}}) == "refunded 1"


def test_parallel_calls_are_actions_of_their_own(harness: Harness) -> None:
    """ToolNode calls them in threads; each is counted once."""
    agent = harness.agent()
    both = AIMessage(
        "",
        tool_calls=[
            {"name": "refund", "args": {"order": 1}, "id": "a"},
            {"name": "refund", "args": {"order": 2}, "id": "b"},
        ],
    )
    graph = running(agent, guard(agent, [refund]), both, "done")
    with agent.run():
        graph.invoke(HELLO, THREAD)
    assert sorted(told["input"]["order"] for told in of_kind(harness, agent, "action")) == [1, 2]


def test_coroutine_tools_are_awaited_in_their_action(harness: Harness) -> None:
    """One action a call, verified by a coroutine function too."""
    agent = harness.agent()

    @tool
    async def fetch(order: int) -> str:
        """Fetch an order."""
        await asyncio.sleep(0)
        return f"fetched {order}"

    async def is_right(said: str) -> bool:
        return said == "fetched 3"

    graph = running(agent, guard(agent, [fetch], verify=is_right), calls("fetch", "c1", order=3), "done")

    async def main() -> None:
        async with agent.run():
            await graph.ainvoke(HELLO, THREAD)

    asyncio.run(main())
    (told,) = of_kind(harness, agent, "action")
    assert (told["output"], told["verdict"]) == ("fetched 3", "pass")


def test_what_a_tool_raises_comes_out_unchanged(harness: Harness) -> None:
    """The very exception, counted once."""
    agent, error = harness.agent(), LookupError("no such order")

    def look_up(order: int) -> str:
        """Find an order."""
        raise error

    graph = running(agent, guard(agent, [look_up]), calls("look_up", "c1", order=17))
    with agent.run(), pytest.raises(LookupError) as caught:
        graph.invoke(HELLO, THREAD)
    assert caught.value is error
    assert len(of_kind(harness, agent, "failure")) == 1


def test_a_tools_own_error_handling_stays(harness: Harness) -> None:
    """The model is told as the tool says, and the failure is counted all the same."""
    agent = harness.agent()

    def look_up(order: int) -> str:
        """Find an order."""
        raise ToolException("no such order")

    handled = tool(look_up)
    handled.handle_tool_error = "try another number"
    graph = running(agent, guard(agent, [handled]), calls("look_up", "c1", order=17), "done")
    with agent.run():
        messages = graph.invoke(HELLO, THREAD)["messages"]
    assert messages[-2].content == "try another number"
    assert len(of_kind(harness, agent, "failure")) == 1


def test_a_failed_verification_raises(harness: Harness) -> None:
    """The graph ends with ActionFailed, and what was expected stands beside what came."""
    agent = harness.agent()
    tools = guard(agent, [refund], expected="a receipt", verify=lambda said: "receipt" in said)
    graph = running(agent, tools, calls("refund", "c1", order=17))
    with agent.run(), pytest.raises(ActionFailed, match="a receipt"):
        graph.invoke(HELLO, THREAD)


def test_a_pause_is_not_swallowed_by_the_tool_node(harness: Harness) -> None:
    """Errors become messages for the model; the spent budget does not."""
    agent = harness.agent()

    def look_up(order: int) -> str:
        """Find an order."""
        raise LookupError("no such order")

    asked = [calls("look_up", f"c{n}", order=n) for n in range(5)]
    graph = running(agent, guard(agent, [look_up]), *asked, handle_tool_errors=True)
    with paused(), agent.run():
        graph.invoke(HELLO, THREAD)
    assert len(of_kind(harness, agent, "failure")) == 3


def test_an_external_call_is_done_once(harness: Harness) -> None:
    """LangGraph calls the node again after another tool's question; the refund of the same call is not."""
    agent = harness.agent()

    @tool
    def sign(order: int) -> str:
        """Ask for a signature."""
        return f"signed by {interrupt('sign?')}"

    both = AIMessage(
        "",
        tool_calls=[
            {"name": "refund", "args": {"order": 1}, "id": "a"},
            {"name": "sign", "args": {"order": 1}, "id": "b"},
        ],
    )
    tools = [*guard(agent, [refund], external=True), *guard(agent, [sign])]
    graph = running(agent, tools, both, "done")
    with agent.run():
        graph.invoke(HELLO, THREAD)
        messages = graph.invoke(Command(resume="Ann"), THREAD)["messages"]
    assert done == [1]
    assert [m.content for m in messages[2:4]] == ["refunded 1", "signed by Ann"]
    outcomes = [(told["name"], told["outcome"]) for told in of_kind(harness, agent, "action")]
    assert outcomes.count(("refund", "already")) == 1
    assert of_kind(harness, agent, "failure") == []


def test_an_external_tool_that_asks_first_is_done_after_the_answer(harness: Harness) -> None:
    """Until then nothing has happened, so nothing "may have happened"."""
    agent = harness.agent()

    @tool
    def pay(order: int) -> str:
        """Pay an order."""
        said = interrupt(f"pay {order}?")
        done.append(order)
        return f"paid after {said}"

    graph = running(agent, guard(agent, [pay], external=True), calls("pay", "c1", order=5), "done")
    with agent.run():
        graph.invoke(HELLO, THREAD)
        messages = graph.invoke(Command(resume="yes"), THREAD)["messages"]
    assert (messages[-2].content, done) == ("paid after yes", [5])


def test_a_keyed_result_comes_back_as_it_was(harness: Harness) -> None:
    """A Command with a message in it, too, after a restart."""
    agent = harness.agent()

    @tool
    def move(to: str, call: Annotated[str, InjectedToolCallId]) -> Command[Any]:
        """Move on."""
        done.append(1)
        return Command(update={"messages": [ToolMessage(f"moved to {to}", tool_call_id=call)]})

    (guarded,) = guard(agent, [move], external=True, key=lambda to: f"move:{to}")
    call = {"name": "move", "args": {"to": "x"}, "id": "c1", "type": "tool_call"}
    with agent.run():
        first = guarded.invoke(call)
    with agent.run():
        again = guarded.invoke(call)
    assert (again, done) == (first, [1])


def test_called_outside_a_run_it_says_so(harness: Harness) -> None:
    """Nothing is done unguarded."""
    (guarded,) = guard(harness.agent(), [refund])
    with pytest.raises(NoRun):
        guarded.invoke({"order": 1, "state": {"messages": []}})
    assert done == []


def test_wrong_options_say_what_to_write(harness: Harness) -> None:
    """As for @agent.tool, and a single tool is no list of tools."""
    agent = harness.agent()
    with pytest.raises(BadArgument, match="verify="):
        guard(agent, [refund], verfy=bool)
    with pytest.raises(BadArgument, match="external=True"):
        guard(agent, [refund], key=str)
    with pytest.raises(BadArgument, match="list of tools"):
        guard(agent, refund)  # type: ignore[arg-type]
