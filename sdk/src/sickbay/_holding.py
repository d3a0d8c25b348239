"""Holding a tool: calls to it wait, other work goes on, until a human lifts it.

The server tells all the held tools at once, with a command and at each start; the last list counts, and is in
the state file, so that a restart obeys it without a server, too. A call waits before it begins: it is not in
flight, counts nowhere, and the agent can be paused, stopped or rolled back meanwhile. Retries wait as well.

A hold does not outlive its server: an hour after the server last answered anything, calls go on. Effects
(`external=True`) do not: what cannot be undone waits until the server is there and says that it may go on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sickbay._clock import Clock
from sickbay._flow import Blocking, Flow, Rest

if TYPE_CHECKING:
    from sickbay._action import Action
    from sickbay._ledger import Ledger
    from sickbay._state import State

ALONE = 3600.0
ASK_AGAIN = 30.0
MOST = 1000


class Holds:
    """The tools that are held here, and how many calls wait for each."""

    def __init__(self, data: State, clock: Clock) -> None:
        self._data, self._clock = data, clock
        self._at = 0.0
        self.tools = data.holds
        self.calls: dict[str, int] = {}
        self.ask: Callable[[], Any] | None = None
        if data.heard == float("-inf"):
            data.heard = clock.boot()

    def take(self, told: list[dict[str, Any]], at: float) -> list[str]:
        """The list of the server's time `at`, unless a newer one is known; what is new, in sentences."""
        if at < self._at:
            return []
        self._at = at
        named = [each for each in told[:MOST] if isinstance(each, dict) and isinstance(each.get("tool"), str)]
        tools = {
            each["tool"][:200]: {"by": _word(each, "by"), "why": _word(each, "reason")} for each in named
        }
        new = [f"{tool} is {_held(held)}" for tool, held in tools.items() if tool not in self.tools]
        gone = [f"{tool} is no longer held" for tool in self.tools if tool not in tools]
        self.tools = self._data.holds = tools
        return [*new, *gone]

    def heard(self) -> None:
        """The server has answered."""
        self._data.heard = self._clock.boot()

    def left(self, external: bool) -> float | None:
        """How long they hold without another word of the server; None: until there is one."""
        return None if external else ALONE - (self._clock.boot() - self._data.heard)

    def count(self, tool: str, calls: int) -> None:
        """So many more, or less, wait; other threads read the old counts or the new ones."""
        counts = dict(self.calls)
        calls += counts.pop(tool, 0)
        self.calls = {**counts, tool: calls} if calls else counts

    def doing(self, flying: str | None) -> str | None:
        """What the agent does, as far as it waits; `flying` is what it does beside."""
        calls = self.calls
        if not calls:
            return flying
        tool, many = next(reversed(calls.items()))
        more = f", {many} calls" if many > 1 else ""
        return f"{flying} (and waiting for {tool}, held)" if flying else f"waiting for {tool} (held{more})"


def obey(ledger: Ledger, told: list[dict[str, Any]], at: float) -> list[str]:
    """Calls to these tools wait from now on, and to no others; what is new of it, in sentences."""
    with ledger.lock:
        changes = ledger.holds.take(told, at)
        if changes:
            ledger._save(sync=True)
    ledger.ring()
    return changes


def is_held(act: Action) -> bool:
    """Whether this call has to wait now."""
    holds = act.ward.ledger.holds
    if not holds.tools or act.name not in holds.tools:
        return False
    left = holds.left(act.external)
    return left is None or left > 0


def aside(act: Action) -> Flow[bool]:
    """Wait before it begins, with its key free meanwhile; whether it must look anew at what may begin."""
    if not is_held(act):
        return False
    act.release()
    return (yield from waiting(act))


def waiting(act: Action) -> Flow[bool]:
    """Wait while its tool is held; False when something bars the action, which then meets it itself.

    It ends early, with True, where the agent has to go back first: here nothing is in flight.
    """
    if not is_held(act):
        return True
    ledger, points = act.ward.ledger, act.ward.points
    holds, name = ledger.holds, act.name
    _count(ledger, name, 1)
    try:
        while True:
            rings = ledger.rings  # first: what rings from here on is not slept through
            if ledger.barred() is not None:
                return False
            if not is_held(act) or (points.can_go_back and not ledger.in_flight):
                break
            if holds.ask is not None:
                yield Blocking(holds.ask)
            left = holds.left(act.external)
            asks = ASK_AGAIN if holds.ask is not None or points.waits_for_server else None
            yield Rest(min((each for each in (left, asks) if each is not None), default=None), rings)
    finally:
        _count(ledger, name, -1)
    if name in holds.tools and not is_held(act):
        title = f"{name} goes on although it is held: the server has not answered for an hour"
        ledger.note({"kind": "signal", "name": "hold", "level": "warn", "title": title})
    return True


def _count(ledger: Ledger, tool: str, calls: int) -> None:
    with ledger.lock:
        ledger.holds.count(tool, calls)
        ledger._doing_since = ledger._clock.wall()
    ledger.tell_doing(ledger.doing())
    ledger.tell(True)


def _held(held: dict[str, str]) -> str:
    by = f"held by {held['by']}" if held["by"] else "held"
    return f"{by}: {held['why']}" if held["why"] else by


def _word(told: dict[str, Any], part: str) -> str:
    said = told.get(part)
    return "".join(c if c.isprintable() else " " for c in said[:300]) if isinstance(said, str) else ""
