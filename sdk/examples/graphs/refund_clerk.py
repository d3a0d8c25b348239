"""refund-clerk: a LangGraph graph that asks, misunderstands, and breaks what it keeps.

    pip install 'sickbay[langgraph]'

It refunds one order after the other and books each in `refunds.csv`. The model is a fake, so it needs no key
and always falls ill the same way:

    order 2    is expensive: the tool asks a human, and the agent waits for the answer
    order 4    the model takes euros for cents, three times: the budget is spent. Resume it with guidance that
               says "cents", and the model is told
    order 7    it tidies up `refunds.csv` and loses the bookings: the budget is spent. Roll it back: the file
               and the conversation are whole again, and the refund that was made is not made twice
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import interrupt

from sickbay import Agent, Run
from sickbay.langgraph import SickbaySaver, guard, invoke

WORK = Path(os.environ.get("SICKBAY_DEMO_DIR", "demo-work")) / "refund-clerk"
BOOK = WORK / "refunds.csv"
THREAD: RunnableConfig = {"configurable": {"thread_id": "desk"}}
LIMIT = 500_00

agent = Agent(
    "refund-clerk",
    instructions="Refund each order once, to the cent, and book it.",
    workspace=WORK,
    about="Refunds orders and books them",
    owner="payments",
    heal=False,  # so that a human sees what it did
    while_paused="refunds wait; 4 h is fine",
)


class Desk(MessagesState):
    """The conversation, and which order is on the desk."""

    order: int


def price(order: int) -> int:
    """What was paid for it, in cents."""
    return 700_00 if order == 2 else order * 10_00


def refund(order: int, cents: int) -> str:
    """Give the money back."""
    if cents != price(order):
        raise ValueError(f"order {order} cost {price(order)} cents, and this would refund {cents}")
    if cents > LIMIT and interrupt(f"Refund {cents / 100:.2f} € for order {order}?") is not True:
        return f"order {order} is not refunded"
    return f"refunded {cents} cents for order {order}"


def book(order: int) -> int:
    """Write the refund down; the number of bookings."""
    with BOOK.open("a") as file:
        file.write(f"{order},{price(order)}\n")
    return len(BOOK.read_text().splitlines())


def tidy() -> str:
    """Throw away what looks old."""
    BOOK.write_text("")
    return "tidied up"


def reply(order: int, messages: list[BaseMessage]) -> AIMessage:
    """What the model would say."""
    asked = max(at for at, message in enumerate(messages) if message.type == "human")
    done = [call["name"] for message in messages[asked:] for call in getattr(message, "tool_calls", ())]
    said = " ".join(str(message.content) for message in messages[asked:])
    knows = order != 4 or "cents" in said.partition("They say")[2]
    if order == 7 and agent.rolled_back is None and "tidy" not in done:
        return call("tidy", len(messages))
    if f"for order {order}" not in said and "is not refunded" not in said:
        return call(
            "refund", len(messages), order=order, cents=price(order) if knows else price(order) // 100
        )
    last = messages[-1]
    if last.type == "tool" and last.name == "book" and getattr(last, "status", "") != "error":
        return AIMessage(f"Order {order} is done.")
    return call("book", len(messages), order=order)


def call(name: str, number: int, **args: int) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": f"call-{number}"}])


shown: Desk = {"order": 0, "messages": []}


def answers() -> Iterator[AIMessage]:
    while True:
        yield reply(shown["order"], shown["messages"])


model = GenericFakeChatModel(messages=answers())


def think(state: Desk) -> dict[str, Any]:
    shown.update(state)
    return {"messages": [model.invoke(state["messages"])]}


def close(state: Desk) -> dict[str, Any]:
    """This order is done; the next one."""
    return {"order": state["order"] + 1}


def route(state: Desk) -> str:
    return "tools" if state["messages"][-1].tool_calls else "close"  # type: ignore[union-attr]


def build() -> Any:
    """The graph: the model, its tools, and the end of an order."""
    tools = [
        *guard(agent, [refund], external=True, key=lambda order, cents: f"refund:{order}"),
        *guard(agent, [book], expected="as many bookings as orders", verify=lambda n: n == shown["order"]),
        *guard(agent, [tidy]),
    ]
    builder = StateGraph(Desk)
    builder.add_node("model", think)
    builder.add_node("tools", ToolNode(tools, handle_tool_errors=True))
    builder.add_node("close", close)
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", route, ["tools", "close"])
    builder.add_edge("tools", "model")
    return builder.compile(checkpointer=SickbaySaver(InMemorySaver(), agent))


graph = build()


def step(run: Run) -> None:
    """One order."""
    order = graph.get_state(THREAD).values.get("order", 1)
    invoke(run, graph, {"messages": [("user", f"Refund order {order}, please.")], "order": order}, THREAD)
    threading.Event().wait(float(os.environ.get("SICKBAY_DEMO_PACE", "1.0")))


if __name__ == "__main__":
    WORK.mkdir(parents=True, exist_ok=True)
    BOOK.touch()
    agent.supervise(step)
