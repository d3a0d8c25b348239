"""The same chat growth (W1) in LangGraph's PostgresSaver, whole and with a DeltaChannel, in one Postgres.

A step is a super-step stored before the next begins, so its time has LangGraph's own in it. Whoever is slow
is cut off: after `seconds` no further step is taken, and the marks that were reached are compared.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass, field
from typing import Annotated, Any, TypedDict

from tests.bench import ground

PEERS = {"PostgresSaver": False, "DeltaChannel": True}
TABLES = ("checkpoints", "checkpoint_blobs", "checkpoint_writes", "checkpoint_migrations")


@dataclass
class Measured:
    """One system's figures: bytes at the marks, seconds of each step."""

    name: str
    sizes: dict[int, int] = field(default_factory=dict)
    took: list[float] = field(default_factory=list)
    listed: float = 0.0
    read: float = 0.0

    @property
    def grew(self) -> float:
        marks = sorted(self.sizes)[-2:]
        if len(marks) < 2:
            return math.nan
        one, two = marks
        return math.log(self.sizes[two] / self.sizes[one]) / math.log(two / one)


def langgraph(name: str, steps: int, marks: tuple[int, ...], seconds: float) -> Measured:
    """Run the workload through a graph of one node."""
    import psycopg
    from langgraph.checkpoint.postgres import PostgresSaver
    from psycopg.rows import dict_row

    url = _database(name.lower())
    with psycopg.connect(url, autocommit=True, prepare_threshold=0, row_factory=dict_row) as connection:
        saver = PostgresSaver(connection)
        saver.setup()
        graph, first = _graph(saver, steps, PEERS[name])
        config: Any = {"configurable": {"thread_id": "1"}, "recursion_limit": steps + 10}
        found, ends = Measured(name), time.perf_counter() + seconds
        started = time.perf_counter()
        for _ in graph.stream(first, config, stream_mode="updates", durability="sync"):
            found.took.append(time.perf_counter() - started)
            if len(found.took) in marks or len(found.took) == steps:
                found.sizes[len(found.took)] = _size(connection)
            if time.perf_counter() > ends:
                break
            started = time.perf_counter()
        _read(graph, connection, found)
    return found


def _graph(saver: Any, steps: int, deltas: bool) -> tuple[Any, dict[str, Any]]:
    from langgraph.graph import END, START, StateGraph
    from langgraph.graph.message import add_messages

    reducer: Any = add_messages
    if deltas:
        from langgraph.channels.delta import DeltaChannel
        from langgraph.graph.message import _messages_delta_reducer

        reducer = DeltaChannel(_messages_delta_reducer)
    fields: dict[str, Any] = {
        "instructions": str,
        "messages": Annotated[list, reducer],
        "scratch": Annotated[dict, _over],
    }
    state: Any = TypedDict("State", fields)  # type: ignore[operator]
    workload = ground.workload()
    feed, left = workload.chat_steps(steps), [steps]

    def agent(_: Any) -> dict[str, Any]:
        step = next(feed)
        left[0] -= 1
        return {"messages": [_message(m) for m in step.new_messages], "scratch": dict(step.scratch_set)}

    builder = StateGraph(state)
    builder.add_node("agent", agent)
    builder.add_edge(START, "agent")
    builder.add_conditional_edges("agent", lambda _: "agent" if left[0] > 0 else END)
    memory = next(workload.chat_steps(1)).memory
    first = {"instructions": memory["instructions"], "scratch": dict(memory["scratch"])}
    return builder.compile(checkpointer=saver), first


def _over(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    return {**old, **new}


def _message(said: dict[str, Any]) -> dict[str, Any]:
    """As LangChain takes it."""
    names = ("role", "id", "content", "tool_calls" if said["role"] == "assistant" else "tool_call_id")
    return {name: said[name] for name in names}


def _read(graph: Any, connection: Any, found: Measured) -> None:
    config: Any = {"configurable": {"thread_id": "1"}}
    started = time.perf_counter()
    list(graph.get_state_history(config, limit=50))
    found.listed = time.perf_counter() - started
    rows = connection.execute("SELECT checkpoint_id AS id FROM checkpoints ORDER BY 1").fetchall()
    took = []
    for row in rows[:: max(1, len(rows) // 20)]:
        started = time.perf_counter()
        graph.get_state({"configurable": {"thread_id": "1", "checkpoint_ns": "", "checkpoint_id": row["id"]}})
        took.append(time.perf_counter() - started)
    found.read = ground.percentile(took, 0.5)


def _database(name: str) -> str:
    import psycopg

    url = os.environ["SICKBAY_DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return psycopg.conninfo.make_conninfo(url, dbname=name)


def _size(connection: Any) -> int:
    query = "SELECT sum(pg_total_relation_size(t::regclass)) AS size FROM unnest(%s::text[]) t"
    return int(connection.execute(query, [list(TABLES)]).fetchone()["size"])


def table(measured: list[Measured], marks: list[int]) -> None:
    """All of them side by side."""
    head = ("system", *(f"MB at {mark:,}" for mark in marks), "exponent", "p50 ms first", "last 100")
    rows: list[tuple[Any, ...]] = [(*head, "newest 50, ms", "read old, ms")]
    for each in measured:
        sizes = [round(each.sizes[m] / 1e6, 1) if m in each.sizes else "cut off" for m in marks]
        first, last = (ground.percentile(part, 0.5) * 1000 for part in (each.took[:100], each.took[-100:]))
        rows.append(
            (each.name, *sizes, f"{each.grew:.2f}", first, last, each.listed * 1000, each.read * 1000)
        )
    ground.table("W1 side by side, in one Postgres", rows)
