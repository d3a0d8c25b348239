"""Tools as actions: each call is recorded, verified and counted, wherever the graph makes it.

A tool is copied, and the copy's `_run` and `_arun` go through an action; the model's view of it, its schema
and its error handling stay what they are. LangGraph calls a node again after an interrupt, a failure or a
pause, with the very same tool calls: an external tool is done once a call.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.tools import BaseTool, tool
from langgraph.errors import GraphBubbleUp
from langgraph.types import Command

from sickbay import _outcome, _tools
from sickbay._action import Action, Ended
from sickbay._errors import AgentPauseRequired, BadArgument
from sickbay._flow import Flow, adrive, drive
from sickbay._performing import performed
from sickbay.langgraph._mirror import Mirror
from sickbay.langgraph._sends import GraphCodec

if TYPE_CHECKING:
    from sickbay._agent import Agent
    from sickbay._ward import Ward

TOLD = "Not done: it failed, and a human has looked at it. They say: "
_call_id: ContextVar[str] = ContextVar("sickbay_tool_call", default="")


def guard(agent: Agent, tools: Iterable[BaseTool | Callable[..., Any]], **options: Any) -> list[BaseTool]:
    """Make every call of these tools an action of the run that is live.

    What a tool raises is raised unchanged; LangGraph's own interrupts pass and count nothing. A call whose
    failure spent the budget is not tried again when a human resumes with guidance: the model is told, as
    that call's result, what the human said.

    Args:
        agent: whose actions they are.
        tools: LangChain tools, or functions, as for ToolNode.
        **options: expected=, verify=, external=, confirm=, retries=, record= as for `run.execute`; key= is
            a function of the arguments that the model gave. An external tool without key= goes by the id of
            the model's tool call: the same call happens once, a new call is a new effect.

    Returns:
        Copies of the tools; the ones you gave stay unguarded.

    Raises:
        BadArgument: an option is wrong. When called, NoRun: no run of this agent is live.

    Example:
        tools = [*guard(agent, [search]), *guard(agent, [refund], external=True, key=lambda order: order)]
    """
    agent._lets_pass(GraphBubbleUp)
    if isinstance(tools, BaseTool) or callable(tools):
        raise BadArgument(f"guard(agent, {tools!r:.60}): give a list of tools, even of one")
    given = (each if isinstance(each, BaseTool) else tool(each) for each in tools)
    return [_Guard(agent, each, options).copy() for each in given]


class _Guard:
    """One tool and what is to be observed about it."""

    def __init__(self, agent: Agent, tool: BaseTool, options: dict[str, Any]) -> None:
        _tools._check(tool._run, options)
        self._agent, self._tool, self._options = agent, tool, options
        self._codec = GraphCodec((Command,))
        self._given = frozenset(tool.args)

    def copy(self) -> BaseTool:
        """The tool, guarded. pydantic does not let fields be added, so they are set below it."""
        tool, copy = self._tool, self._tool.model_copy()

        @functools.wraps(tool._run)
        def run(*args: Any, **kwargs: Any) -> Any:
            ward = self._agent._ward()
            return _told(drive(self._flow(ward, tool._run, args, kwargs), ward))

        @functools.wraps(tool._arun)
        async def arun(*args: Any, **kwargs: Any) -> Any:
            ward = self._agent._ward()
            return _told(await adrive(self._flow(ward, tool._arun, args, kwargs), ward))

        @functools.wraps(copy.run)
        def called(*args: Any, tool_call_id: str | None = None, **kwargs: Any) -> Any:
            _call_id.set(tool_call_id or "")
            return type(tool).run(copy, *args, tool_call_id=tool_call_id, **kwargs)

        @functools.wraps(copy.arun)
        async def acalled(*args: Any, tool_call_id: str | None = None, **kwargs: Any) -> Any:
            _call_id.set(tool_call_id or "")
            return await type(tool).arun(copy, *args, tool_call_id=tool_call_id, **kwargs)

        for name, method in (("_run", run), ("_arun", arun), ("run", called), ("arun", acalled)):
            object.__setattr__(copy, name, method)
        return copy

    def _flow(
        self, ward: Ward, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Flow[Ended]:
        mirror = Mirror.of_agent.get(self._agent)
        call_id, thread = _call_id.get(), _thread()
        if ward.points.has_to_stop:
            yield from ward.points.before(False)
        if mirror is not None:
            mirror.refuse(thread)
            said = mirror.word_for(call_id) if call_id and ward.ledger.pause is None else None
            if said is not None:
                return self._answered(ward, said)
        act = self._action(ward, args, {n: v for n, v in kwargs.items() if n in self._given}, call_id, thread)
        todo = functools.partial(call, *args, **kwargs)
        ended = yield from self._performed(act, todo)
        if mirror is not None and call_id and isinstance(ended.error, AgentPauseRequired) and ended.cause:
            mirror.stumbled(call_id, ended.error.pause)
        return ended

    def _action(
        self, ward: Ward, args: tuple[Any, ...], given: dict[str, Any], call_id: str, thread: str
    ) -> Action:
        options = self._options
        key, external = options.get("key"), options.get("external", False)
        name = options.get("name") or self._tool.name
        keyed = None
        if key is not None:
            keyed = str(key(*args, **given))[:200]
        elif external and call_id:
            keyed = f"{name}:{thread}:{call_id}"[:200]
        verify = options.get("verify")
        return Action(
            ward,
            name,
            given or (args[0] if len(args) == 1 else list(args)) or None,
            options.get("expected"),
            verify if keyed is None or verify is None else lambda kept: verify(self._codec.decode(kept)),
            external,
            keyed,
            options.get("record", "all"),
            options.get("again", False),
            options.get("confirm"),
        )

    def _performed(self, act: Action, todo: Callable[[], Any]) -> Flow[Ended]:
        """A keyed result is recorded as JSON, so that it comes back as what it was."""
        kept = self._codec.encode if act.key is not None else _as_it_is

        def call() -> Any:
            with _asking_first():
                answer = todo()
            return _later(answer, kept) if isinstance(answer, Awaitable) else kept(answer)

        ended = yield from performed(act, call, (), self._options.get("retries", 0))
        if ended.error is None and act.key is not None:
            return Ended(self._codec.decode(ended.result))
        return ended

    def _answered(self, ward: Ward, said: str) -> Ended:
        title = f"{self._tool.name}: not tried again; the model is told what the human said"
        ward.ledger.note({"kind": "signal", "name": "guidance", "level": "info", "title": title})
        pair = self._tool.response_format == "content_and_artifact"
        return Ended((TOLD + said, None) if pair else TOLD + said)


@contextlib.contextmanager
def _asking_first() -> Iterator[None]:
    """What stops to ask is called again from its beginning: by LangGraph's rule, nothing is done before."""
    try:
        yield
    except GraphBubbleUp as asks:
        setattr(asks, _outcome.NOTHING, True)
        raise


async def _later(answer: Awaitable[Any], kept: Callable[[Any], Any]) -> Any:
    with _asking_first():
        return kept(await answer)


def _as_it_is(answer: Any) -> Any:
    return answer


def _told(ended: Ended) -> Any:
    return _tools._told(ended)


def _thread() -> str:
    """The thread of the graph that calls."""
    config = var_child_runnable_config.get() or {}
    return str(config.get("configurable", {}).get("thread_id", ""))
