"""Commands: fetched by GET, handed on once, and receipted.

The row on the server is the queue; `after` is the newest version that was seen here. A receipt that is not
answered "ok" means that another acts, or nobody does: a newer process (`fenced`), another one that was first
(`taken`; by a later decision, too), or no server to ask (`unreachable`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from sickbay._answers import plain
from sickbay._wire import NotAnswered, Refused

if TYPE_CHECKING:
    from sickbay._wire import Wire

Taken = Literal["ok", "fenced", "taken", "unreachable"]


class Commands:
    """The commands of one instance. `query` says who asks, at the moment of asking."""

    def __init__(
        self,
        wire: Wire,
        query: Callable[[], dict[str, Any]],
        hand_on: Callable[[list[dict[str, Any]]], None],
        fenced: Callable[[int], None],
    ) -> None:
        self.after = 0
        self._wire, self._query = wire, query
        self._hand_on, self._fenced = hand_on, fenced
        self._lock = threading.Lock()

    def look(self, wait: float = 0.0) -> None:
        """Ask once; with `wait`, the server keeps the question until there is something."""
        query = self._query()
        agent = query.pop("agent")
        answer = self._wire.commands(agent, {**query, "after": self.after}, wait)
        if answer is None:
            return
        if answer.fenced:
            self._fenced(query["epoch"])
            return
        # Sender and listener may both have asked: what one handed on, the other does not.
        with self._lock:
            new = sorted((c for c in answer.commands if c.version > self.after), key=lambda c: c.version)
            self.after = max([self.after, answer.commands_version, *(c.version for c in new)])
        self._hand_on([plain(command) for command in new])  # none, too: what was left may go now

    def receipt(self, command: str, state: str, why: str) -> Taken:
        query = self._query()
        agent = query.pop("agent")
        body = {**query, "state": state, "why": why}
        try:
            try:
                self._wire.receipt(agent, command, body)
            except NotAnswered:
                self._wire.receipt(agent, command, body)  # repeating it gets the same answer
        except Refused as refused:
            if refused.status == 409 and refused.error in ("fenced", "taken", "overtaken"):
                return "fenced" if refused.error == "fenced" else "taken"
            raise
        return "ok"
