"""One turn of a graph, with a safe point between its super-steps.

unfinished work      is gone on with; the input waits for the next turn
a question           that was answered is answered in the graph: Command(resume=…)
each super-step      a pause ends the turn, a rollback too; a checkpoint is taken
a question           at the end of a turn, or a breakpoint, pauses the agent
"""

from __future__ import annotations

import contextlib
import json
import sys
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableConfig
from langgraph.errors import is_invalid_resume
from langgraph.types import Command, Interrupt, StateSnapshot

from sickbay import _asking, _outcome
from sickbay._errors import BadArgument
from sickbay._flow import Flow, adrive, drive
from sickbay._run import AsyncRun, Run
from sickbay.langgraph._saver import SickbaySaver

if TYPE_CHECKING:
    from langgraph.pregel import Pregel

    from sickbay._run import RunBase

    Graph = Pregel[Any, Any, Any, Any]

LONGEST = 300


def invoke(run: Run, graph: Graph, input: Any, config: RunnableConfig, **options: Any) -> Any:
    """`graph.invoke(input, config)` as a part of this run: it pauses, asks, and goes on where it was.

    A thread that has not finished (a pause, a failure, a restart, a rollback) goes on with what it has to do;
    `input` is given only to one that has. So call it with the same input until it returns. `interrupt()` in a
    node or a tool pauses the agent, with its value as the question; *Resume* answers it, with the guidance,
    or with True where the human wrote none. Several questions at once are asked one after the other. At a
    breakpoint (`interrupt_before=`, `interrupt_after=`) the agent is paused too; *Resume* goes on.

    Args:
        run: the live run.
        graph: compiled with `checkpointer=SickbaySaver(…)`.
        input: what the thread is given when it has nothing left to do.
        config: with a `thread_id`.
        **options: as for `graph.stream`, such as context=.

    Returns:
        The state's values, as from `graph.invoke`.

    Raises:
        AgentPauseRequired: the agent is paused, or the graph asks; what was done is kept.
        GraphRolledBack: the agent was rolled back meanwhile: call it again.
        ActionFailed, or whatever a node raised.

    Example:
        agent.supervise(lambda run: invoke(run, graph, {"messages": [("user", next_ticket())]}, thread))
    """
    turn = _Turn(run, graph, config, options)
    state = graph.get_state(config)
    back = turn.looks_back(state)
    given = turn.begins(state, graph.get_state(back) if back else None, input)
    stream: Any = graph.stream(given, config, **turn.how(options))
    with turn.errors(), contextlib.closing(stream) as steps:
        for values in steps:
            turn.values = values
            drive(turn.between(), run._ward)
    turn.ends(graph.get_state(config))
    return turn.values


async def ainvoke(run: AsyncRun, graph: Graph, input: Any, config: RunnableConfig, **options: Any) -> Any:
    """`invoke`, awaited.

    Example:
        await ainvoke(run, graph, {"messages": [("user", next_ticket())]}, thread)
    """
    turn = _Turn(run, graph, config, options)
    state = await graph.aget_state(config)
    back = turn.looks_back(state)
    given = turn.begins(state, await graph.aget_state(back) if back else None, input)
    stream: Any = graph.astream(given, config, **turn.how(options))
    with turn.errors():
        async with contextlib.aclosing(stream) as steps:
            async for values in steps:
                turn.values = values
                await adrive(turn.between(), run._ward)
    turn.ends(await graph.aget_state(config))
    return turn.values


class _Turn:
    def __init__(self, run: RunBase, graph: Graph, config: RunnableConfig, options: dict[str, Any]) -> None:
        saver = graph.checkpointer
        if not isinstance(saver, SickbaySaver) or saver.agent is not run.agent:
            raise BadArgument(
                f"invoke(run, {getattr(graph, 'name', graph)!r:.60}, …): compile the graph with "
                f"checkpointer=SickbaySaver(…, agent), with the agent {run.agent.name!r}"
            )
        if "thread_id" not in config.get("configurable", {}):
            raise BadArgument("invoke(…, config): write {'configurable': {'thread_id': '7'}}")
        self._ward, self._mirror = run._ward, saver.mirror
        self._thread = str(config["configurable"]["thread_id"])
        self._stops_before = options.get("interrupt_before") or graph.interrupt_before_nodes
        self._stops_after = options.get("interrupt_after") or graph.interrupt_after_nodes
        self._asked = ""
        self.values: Any = None
        self._seen: Any = None

    @staticmethod
    def how(options: dict[str, Any]) -> dict[str, Any]:
        """Each super-step is stored before the next begins, so that a safe point is one for both."""
        return {"durability": "sync", **options, "stream_mode": "values"}

    def looks_back(self, state: StateSnapshot) -> RunnableConfig | None:
        """The super-step before, where it says whether this is a breakpoint."""
        asks = self._stops_after and state.next and not state.interrupts
        return state.parent_config if asks else None

    def begins(self, state: StateSnapshot, before: StateSnapshot | None, input: Any) -> Any:
        """What the graph is given: an answer, nothing where it goes on, or the input."""
        if state.interrupts:
            first = state.interrupts[0]
            return Command(resume={first.id: self._answer(state.interrupts) or True})
        if _is_one(self._stops_before, state.next) or (before and _is_one(self._stops_after, before.next)):
            self._go_on(state)
        self._seen = self._place()
        return None if state.next else input

    def between(self) -> Flow[None]:
        """A safe point: nothing of this graph is in flight."""
        ledger, points = self._ward.ledger, self._ward.points
        self._barred()
        if points.has_to_stop:
            yield from points.before(False)
        self._mirror.refuse(self._thread)
        place = self._place()
        if place != self._seen and not ledger.in_flight:
            self._seen = place
            yield from points.checkpoint(f"{self._thread:.150}, step {place[1]}")
            self._barred()  # a check of the state may have spent the budget

    def _barred(self) -> None:
        barred = self._ward.ledger.barred()
        if barred is not None:
            raise barred

    def _place(self) -> tuple[Any, Any]:
        from sickbay.langgraph._mirror import Place

        kept = self._mirror.kept(Place(self._thread, "")) or {}
        return kept.get("checkpoint"), kept.get("step")

    def ends(self, state: StateSnapshot) -> None:
        """It may have ended with a question, or at a breakpoint."""
        if state.interrupts:
            self._answer(state.interrupts)
        elif state.next:
            self._go_on(state)

    def _answer(self, questions: tuple[Interrupt, ...]) -> str:
        """The answer to the first one; the graph asks the others again once it has it."""
        first, more = questions[0], len(questions) - 1
        self._asked = f"interrupt:{uuid.uuid5(uuid.NAMESPACE_OID, first.id)}"
        asked = _question(first)[:LONGEST] + (f" (and {more} more after it)" if more else "")
        return _asking.ask(self._ward, asked, self._asked)

    def _go_on(self, state: StateSnapshot) -> None:
        """The graph stops here by its own will: a human says that it goes on."""
        place, names = state.config["configurable"]["checkpoint_id"], ", ".join(state.next)
        _asking.ask(self._ward, f"Go on with {names[:LONGEST]}?", f"breakpoint:{place}")

    @contextlib.contextmanager
    def errors(self) -> Any:
        """An answer that does not fit its question is nobody's failure: it is asked again."""
        try:
            yield
        except Exception as error:
            if self._asked and is_invalid_resume(error):
                _asking.forget(self._ward.ledger, self._asked)
                _outcome.mark(error, None, sys.maxsize)
            raise


def _is_one(stops: Sequence[str] | str, nodes: tuple[str, ...]) -> bool:
    """Whether one of these nodes is a breakpoint; "*" makes each of them one."""
    return bool(nodes) and (stops == "*" or not set(stops).isdisjoint(nodes))


def _question(interrupt: Interrupt) -> str:
    value = interrupt.value
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError):
        return f"{value!r:.{LONGEST}}"
