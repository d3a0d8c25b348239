"""What the tests of graphs share: a model that says what it was given, tools that work and fail, a graph."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from sickbay import Agent
from sickbay.langgraph import SickbaySaver

THREAD: RunnableConfig = {"configurable": {"thread_id": "7"}}
HELLO = {"messages": [("user", "refund order 17")]}


def calls(name: str, id: str, **args: Any) -> AIMessage:
    """The model asks for a tool."""
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": id}])


class Model:
    """A fake model that keeps what it was shown."""

    def __init__(self, *answers: str | AIMessage) -> None:
        said = (AIMessage(each) if isinstance(each, str) else each for each in answers)
        self._model = GenericFakeChatModel(messages=iter(said))
        self.shown: list[list[BaseMessage]] = []

    def __call__(self, state: MessagesState) -> dict[str, Any]:
        self.shown.append(state["messages"])
        return {"messages": [self._model.invoke(state["messages"])]}


def graph_of(saver: SickbaySaver, model: Any, tools: Iterable[Any], **how: Any) -> Any:
    """The usual loop: the model, its tools, the model again."""
    builder = StateGraph(MessagesState)
    builder.add_node("model", model)
    builder.add_node("tools", ToolNode(list(tools), **how))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition)
    builder.add_edge("tools", "model")
    return builder.compile(checkpointer=saver)


def texts(values: dict[str, Any]) -> list[str]:
    return [str(message.content) for message in values["messages"]]


def kept_of(agent: Agent, thread: str = "7") -> dict[str, Any]:
    """What the agent's memory has of a thread."""
    memory: Any = agent.memory
    found: dict[str, Any] = memory["langgraph"]["threads"][thread]["graph"]
    return found
