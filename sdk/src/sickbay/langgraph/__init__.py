"""LangGraph under Sickbay's care: `pip install 'sickbay[langgraph]'`.

    agent = Agent("refund-desk", workspace="work")
    graph = builder.compile(checkpointer=SickbaySaver(PostgresSaver(pool), agent))

    def step(run):
        invoke(run, graph, {"messages": [("user", next_ticket())]}, {"configurable": {"thread_id": "7"}})

    agent.supervise(step)

How the two fit together:

    a put                  goes to your saver as ever, and becomes a part of the agent's memory
    a super-step           is a safe point; the checkpoint taken there is called by thread and step
    a rollback             the memory names LangGraph's checkpoint of that time; a copy of it is put on top of
                           the thread, so the graph goes on from exactly there and nothing is overwritten
    a tool call            is an action: recorded, verified, counted                                 (guard)
    a spent budget         ends the turn; the next one goes on where it ended, with run.guidance
    interrupt()            pauses the agent, "waiting for an answer: …"; *Resume* answers, by its guidance
    a breakpoint           (`interrupt_before=`) pauses the agent, too; *Resume* goes on
"""

from __future__ import annotations

try:
    import langgraph.checkpoint.base as _needed  # noqa: F401
except ImportError as error:
    raise ImportError("sickbay.langgraph needs LangGraph 1.2: pip install 'sickbay[langgraph]'") from error

from sickbay.langgraph._guarding import guard
from sickbay.langgraph._mirror import GraphRolledBack
from sickbay.langgraph._saver import SickbaySaver
from sickbay.langgraph._turn import ainvoke, invoke

__all__ = ["GraphRolledBack", "SickbaySaver", "ainvoke", "guard", "invoke"]
