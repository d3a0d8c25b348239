"""What the agent's memory knows of its graphs, and what a rollback means for them.

    memory["langgraph"]["threads"][thread]["graph"]    the newest checkpoint of a thread: id, step, values
                                  [thread][ns]         the same of a subgraph that keeps a memory of its own
    memory["langgraph"]["stumbled"]                    the tool call whose failure spent the budget

A rollback replaces all of this by what it was. So a thread has to go back when the newest checkpoint in its
saver does not yet know of the agent's last rollback (`MARK` in its metadata): that is decided by what is
stored there, and holds over any death. A graph that was running meanwhile is stale: nothing that it stores
is taken, and GraphRolledBack ends it.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata

from sickbay import _outcome
from sickbay._errors import BadArgument, SickbayError
from sickbay._guard import harmless
from sickbay.memory import Codec, Lost
from sickbay.tree.text import dump, load

if TYPE_CHECKING:
    from sickbay._agent import Agent
    from sickbay._ledger import Ledger

ROOM = "langgraph"
ROOT = "graph"
MARK = "sickbay_rollback"
DELTAS = "counters_since_delta_snapshot"
REST = ("v", "ts", "channel_versions", "versions_seen", "updated_channels", "pending_sends")


class GraphRolledBack(SickbayError):
    """The agent was rolled back while this graph ran. Invoke it again: it goes on from where it was put back.

    `supervise` does so by itself, and counts nothing.
    """

    def __init__(self, thread: str) -> None:
        super().__init__(f"the agent was rolled back while thread {thread!r:.100} ran: invoke it again")
        _outcome.mark(self, None, sys.maxsize)  # whatever it leaves, it is no failure


@dataclass(frozen=True, slots=True)
class Place:
    """Where a checkpoint stands: a thread, and in it the graph or a subgraph."""

    thread: str
    ns: str

    @classmethod
    def of(cls, config: RunnableConfig) -> Place:
        where = config.get("configurable", {})
        return cls(str(where.get("thread_id", "")), str(where.get("checkpoint_ns", "") or ""))

    @property
    def is_root(self) -> bool:
        return not self.ns

    @property
    def lasts(self) -> bool:
        """Not a subgraph's that belongs to one task of one super-step: those end with it."""
        return ":" not in self.ns


@dataclass(slots=True)
class _Said:
    """What was made of the values of one place last, so that only what is new is made again."""

    versions: Mapping[str, Any] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    items: dict[int, tuple[Any, Any]] = field(default_factory=dict)


class Mirror:
    """The graphs' part of one agent's memory. Safe among threads."""

    of_agent: weakref.WeakKeyDictionary[Agent, Mirror] = weakref.WeakKeyDictionary()

    def __init__(self, agent: Agent, codec: Codec, threads: int) -> None:
        if not isinstance(agent.memory, dict):
            raise BadArgument(
                f"the memory of {agent.name} is a Memory(save=…, load=…): give the agent a dict, or none; "
                "its graphs are kept in memory['langgraph']"
            )
        self.agent, self.codec = agent, codec
        self._most = threads
        self._said: dict[Place, _Said] = {}
        self._written: dict[str, int] = {}  # threads, by when they were last stored
        self._begun: dict[str, str | None] = {}  # which rollback each thread's running graph knows of
        self._room()
        self.of_agent[agent] = self

    def _room(self) -> dict[str, Any]:
        room: dict[str, Any] = self.agent.memory.setdefault(ROOM, {})
        room.setdefault("threads", {})
        return room

    @property
    def ledger(self) -> Ledger | None:
        """That of the live run."""
        return getattr(self.agent._life, "ledger", None)

    # — rollbacks —

    @property
    def back(self) -> dict[str, Any]:
        """The agent's last rollback; empty when there was none, or no run is live."""
        ledger = self.ledger
        return (ledger.data.rolled_back or {}) if ledger is not None else {}

    @property
    def mark(self) -> str | None:
        """The id of the last rollback that put the memory back."""
        return self.back.get("of_memory")

    def begins(self, place: Place) -> None:
        """A graph loads its state here: from now on it knows of the last rollback."""
        if place.is_root:
            self._begun[place.thread] = self.mark

    def refuse(self, thread: str) -> None:
        """End what runs on a state that was left behind; raises GraphRolledBack."""
        ledger = self.ledger
        if ledger is None:
            return
        is_stale = self._begun.get(thread, self.mark) != self.mark
        if is_stale or ledger.data.restoring is not None:
            raise GraphRolledBack(thread)

    # — what is kept —

    def kept(self, place: Place) -> dict[str, Any] | None:
        """What the memory has of it."""
        with self.agent.editing():
            places = self._room()["threads"].get(place.thread, {})
            found: dict[str, Any] | None = places.get(place.ns or ROOT)
        return found

    @harmless(None)
    def take(self, place: Place, checkpoint: Checkpoint, metadata: CheckpointMetadata) -> None:
        """The newest checkpoint of its place; what it says of others stays as it is."""
        if not place.lasts:
            return
        rest = {key: checkpoint.get(key) for key in REST} | {"metadata": dict(metadata)}
        entry = {
            "values": self._values(place, checkpoint),
            "step": metadata.get("step"),
            "checkpoint": checkpoint["id"],
            "rest": dump(self.codec.encode(rest)).decode(),
        }
        with self.agent.editing():
            self.refuse(place.thread)
            threads = self._room()["threads"]
            threads.setdefault(place.thread, {})[place.ns or ROOT] = entry
            self._bounded(threads, place.thread)

    def _values(self, place: Place, checkpoint: Checkpoint) -> dict[str, Any]:
        before, now = self._said.get(place, _Said()), _Said(checkpoint["channel_versions"])
        for name, value in checkpoint["channel_values"].items():
            version = now.versions.get(name)
            if version is not None and before.versions.get(name) == version and name in before.values:
                now.values[name] = before.values[name]
            else:
                now.values[name] = self._value(value, before, now)
        now.items = now.items or before.items
        self._said[place] = now
        return dict(now.values)

    def _value(self, value: Any, before: _Said, now: _Said) -> Any:
        """A list grows at its end: the items that are the same objects as last time are not made again."""
        if type(value) is not list:
            return self.codec.encode(value)
        made = []
        for item in value:
            known = before.items.get(id(item))
            said = known[1] if known is not None and known[0] is item else self.codec.encode(item)
            now.items[id(item)] = (item, said)
            made.append(said)
        return made

    def _bounded(self, threads: dict[str, Any], newest: str) -> None:
        """So many threads are kept, those that were stored last."""
        self._written[newest] = max(self._written.values(), default=0) + 1
        while len(threads) > self._most:
            oldest = min(threads, key=lambda thread: self._written.get(thread, 0))
            self._drop(threads, oldest)

    def _drop(self, threads: dict[str, Any], thread: str) -> None:
        threads.pop(thread, None)
        self._written.pop(thread, None)
        for place in [place for place in self._said if place.thread == thread]:
            del self._said[place]

    def forget(self, thread: str, ns: Collection[str] | None = None) -> None:
        """The thread was deleted."""
        with self.agent.editing():
            self._drop(self._room()["threads"], thread)
        self._begun.pop(thread, None)

    def forget_runs(self, runs: Collection[str]) -> None:
        """What these LangGraph runs stored was deleted."""
        with self.agent.editing():
            threads = self._room()["threads"]
            for thread, places in list(threads.items()):
                if any(self._rest(entry)["metadata"].get("run_id") in runs for entry in places.values()):
                    self._drop(threads, thread)

    def _rest(self, kept: dict[str, Any]) -> dict[str, Any]:
        """What only LangGraph reads; one text, so that it is one value to whoever compares."""
        rest: dict[str, Any] = self.codec.decode(load(kept["rest"].encode()))
        return rest

    def starts_anew(self, place: Place) -> None:
        """What was made of its values before belongs to a state that was left behind."""
        self._said.pop(place, None)

    def rebuilt(self, place: Place, kept: dict[str, Any]) -> tuple[Checkpoint, CheckpointMetadata]:
        """A checkpoint that its saver has lost; Lost says what cannot be made again."""
        rest = self._rest(kept)
        metadata: CheckpointMetadata = rest.pop("metadata")
        deltas: Any = metadata.get(DELTAS) or {}
        missing = [name for name in deltas if name not in kept["values"]]
        if missing:
            raise Lost(
                f"thread {place.thread!r:.100} keeps {', '.join(missing):.100} as deltas, whose history is "
                "in its saver only, and that has lost it"
            )
        values = self.codec.decode(kept["values"])
        checkpoint: Any = {**rest, "id": kept["checkpoint"], "channel_values": values}
        if checkpoint.get("pending_sends") is None:
            checkpoint.pop("pending_sends", None)
        return checkpoint, metadata

    # — the tool call that spent the budget —

    def stumbled(self, call: str, pause: str) -> None:
        """This tool call failed, and the agent is paused for it."""
        with self.agent.editing():
            self._room()["stumbled"] = {"call": call, "pause": pause}

    def word_for(self, call: str) -> str | None:
        """What the human said about this very call, once: it is told to the model instead of a second try."""
        ledger = self.ledger
        with self.agent.editing():
            room = self._room()
            stumbled, settled = room.get("stumbled"), ledger.data.settled if ledger is not None else None
            if ledger is None or settled is None or not stumbled or stumbled["call"] != call:
                return None
            if settled["pause"] != stumbled["pause"] or settled["verb"] != "resume":
                return None
            del room["stumbled"]
            return ledger.data.guidance or None
