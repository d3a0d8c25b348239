"""Commands: what the server asks of this run, obeyed at safe points.

A pause takes hold on arrival: from then on no action begins, and those in flight end. It is lifted only by
a command that names that very pause, and only where that is safe: while the agent waits, or before the pause
was met. A run that has met its pause is over; the command stays for the next one.

What a human says of an effect (_answered) waits for no safe point: it is a line in the ledger of effects.

A receipt `taken` is acknowledged before anything but a pause is acted upon; if another process took the
command, or a newer one fenced this, nothing happens here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from sickbay import _answered, _holding
from sickbay._effects import Effects
from sickbay._failpoints import failpoint
from sickbay._guard import harmless
from sickbay._ledger import Ledger
from sickbay._state import Pause

Command = dict[str, Any]
Receipt = Callable[[str, str, str], str]
SETTLING = ("resume", "start", "stop")
KEPT = 100


class Orders:
    """The commands of one run. `received` is called in the link's threads, `again` by who waits."""

    def __init__(self, ledger: Ledger, receipt: Receipt, wall: Callable[[], float], effects: Effects) -> None:
        self._ledger, self._receipt, self._wall, self._effects = ledger, receipt, wall, effects
        self._left: dict[str, Command] = {}
        self.rollback: Command | None = None  # waits for a safe point of the agent's own threads
        self._mine: set[str] = set()  # rollbacks that this process has taken
        self._lock = threading.Lock()
        self._busy = self._more = False

    @harmless(None)
    def received(self, commands: list[Command]) -> None:
        """Obey what can be obeyed now, keep the rest."""
        with self._lock:
            for command in commands:
                self._left[str(command["id"])] = command
            for id in list(self._left)[:-KEPT]:
                del self._left[id]
            self._more = True
            if self._busy:  # receipts wait for the sender's thread, which may be the one that came here
                return
            self._busy = True
        try:
            while self._next_round():
                for id, command in list(self._left.items()):
                    if self._obeyed(command):
                        self._left.pop(id, None)
        except BaseException:
            self._busy = False
            raise

    def _next_round(self) -> bool:
        with self._lock:
            self._busy, self._more = self._more, False
            return self._busy

    def again(self) -> None:
        """Look again at what was left: the agent waits now."""
        self.received([])

    @harmless(None)
    def told(self, pause: dict[str, Any]) -> None:
        """The server holds a pause that this home has not heard of: silence never lifts one."""
        self._ledger.take(self._pause_of(pause, pause.get("id"), pause.get("owner")))

    def _obeyed(self, command: Command) -> bool:
        """Whether this command needs no second look."""
        kind, payload = command.get("kind"), command.get("payload") or {}
        if kind == "pause":
            return self._pause(command, payload)
        if kind in SETTLING:
            return self._settle(command, payload, str(kind))
        if kind == "rollback":
            return self._roll_back(command, payload)
        if kind == "effect":
            return self._answered(command)
        if kind == "hold":
            return self._hold(command, payload)
        return self._answer(command, "refused", f"this version of the SDK does not know {kind!r:.40}")

    def _pause(self, command: Command, payload: dict[str, Any]) -> bool:
        held = self._ledger.pause
        if held is not None and held.id != payload.get("pause"):
            return self._answer(command, "refused", f"it is paused already: {held.cause}")
        if self._receipt(command["id"], "taken", "") in ("fenced", "taken"):
            return True
        # Out of reach of the server it pauses all the same: an order to stop acting needs no answer.
        if self._ledger.take(self._pause_of(payload, payload.get("pause"), payload.get("owner"))):
            self._note(command, "obeyed", f"paused by order: {payload.get('cause') or 'no reason given'}")
        return self._answer(command, "done", "")

    @harmless(None)
    def holds(self, told: list[dict[str, Any]], at: float) -> None:
        """The tools that are held, as register says."""
        for change in _holding.obey(self._ledger, told, at):
            self._ledger.note({"kind": "signal", "name": "hold", "level": "info", "title": change})

    def _hold(self, command: Command, payload: dict[str, Any]) -> bool:
        if self._receipt(command["id"], "taken", "") in ("fenced", "taken"):
            return True
        # Out of reach of the server it is obeyed all the same: the list is the newest that anybody has here.
        at, told = command.get("ordered_at"), payload.get("holds")
        if isinstance(told, list) and isinstance(at, float | int):
            for change in _holding.obey(self._ledger, told, at):
                self._note(command, "obeyed", change)
        return self._answer(command, "done", "")

    def _answered(self, command: Command) -> bool:
        taken = self._receipt(command["id"], "taken", "")
        if taken != "ok":
            return taken != "unreachable"
        if self._effects.has_heard(command["id"]):  # its process died before it could say so
            return self._answer(command, "done", "")
        try:
            refused = _answered.obey(self._effects, self._ledger, command)
        except _answered.NotWritten:  # the ledger has said so in the log
            return False
        failpoint("effect:answered")
        if refused:
            self._note(command, "refused", f"{_answered.sentence(command)}. Refused: {refused}")
            return self._answer(command, "refused", refused)
        self._note(command, "obeyed", _answered.sentence(command))
        self._ledger.ring()
        return self._answer(command, "done", "")

    def _roll_back(self, command: Command, payload: dict[str, Any]) -> bool:
        """Done by the agent's own thread, at its next safe point; here it is only kept for it."""
        ledger, pause = self._ledger, payload.get("pause")
        done, begun = ledger.data.rolled_back, ledger.data.restoring
        if begun is not None and begun["command"] and begun["command"]["id"] == command["id"]:
            return True  # told again while it is being done
        if done is not None and done.get("command") == command["id"]:
            return bool(done.get("owed")) or self.rolled_back(command)
        held = ledger.pause
        if pause and payload.get("goes_on") and (held is None or held.id != pause):
            why = "no pause holds here" if held is None else "another pause holds here"
            return self._answer(command, "refused", why)
        if ledger.refused and not ledger.waiting:
            return False
        self.rollback = command
        ledger.ring()
        return True

    def take(self, command: Command) -> str:
        """Whether this process may do it: ok, taken or fenced, or unreachable (ask again later).

        What an earlier process took and died of, this one takes over: the server hears nobody else about it.
        """
        if command["id"] in self._mine:
            return "ok"
        answer = self._receipt(command["id"], "taken", "")
        if answer == "ok":
            self._mine.add(command["id"])
        return answer

    def rolled_back(self, command: Command) -> bool:
        """It is done: the pause goes, if it was to go, and the server is told."""
        payload = command.get("payload") or {}
        held, pause = self._ledger.pause, payload.get("pause")
        if payload.get("goes_on") and held is not None and held.id == pause:
            guidance = payload.get("guidance")
            self._ledger.lift(
                held.id,
                command["id"],
                "rollback",
                guidance=guidance if isinstance(guidance, str) and guidance else None,
                probation=payload.get("probation") is not False,
                said=_sentence("rollback", payload),
            )
        return self._answer(command, "done", "")

    def gave_up(self, command: Command, why: str) -> bool:
        """Whether the server has heard it."""
        heard = self._answer(command, "refused", why[:500])
        if heard:
            self._note(command, "refused", f"rollback refused: {why}")
        return heard

    def _settle(self, command: Command, payload: dict[str, Any], verb: str) -> bool:
        ledger, pause = self._ledger, payload.get("pause")
        held, settled = ledger.pause, ledger.data.settled
        if held is None or held.id != pause:
            if settled is not None and settled["pause"] == pause:
                return self._answer(command, "done", "")
            why = "no pause holds here" if held is None else "another pause holds here"
            self._note(command, "refused", f"{verb} refused: {why}")
            return self._answer(command, "refused", why)
        if ledger.refused and not ledger.waiting:
            return False
        taken = self._receipt(command["id"], "taken", "")
        if taken != "ok":
            return taken != "unreachable"
        guidance = payload.get("guidance")
        ledger.lift(
            held.id,
            command["id"],
            verb,
            guidance=guidance if isinstance(guidance, str) and guidance else None,
            probation=payload.get("probation") is not False,
            said=_sentence(verb, payload),
        )
        self._note(command, "obeyed", _sentence(verb, payload))
        return self._answer(command, "done", "")

    def _answer(self, command: Command, state: str, why: str) -> bool:
        return self._receipt(command["id"], state, why) != "unreachable"

    def _note(self, command: Command, outcome: str, title: str) -> None:
        line = {"kind": "command", "name": command["kind"], "outcome": outcome, "command": command["id"]}
        self._ledger.note({**line, "title": title[:500]})

    def _pause_of(self, told: dict[str, Any], id: Any, owner: Any) -> Pause:
        cause = told.get("cause")
        return Pause(
            id=str(id),
            owner=owner if owner in ("budget", "detector", "human", "deploy") else "human",
            cause=cause if isinstance(cause, str) and cause else "paused by a human",
            at=self._wall(),
            stopped=told.get("stopped") is True,
        )


def _sentence(verb: str, payload: dict[str, Any]) -> str:
    did = {"resume": "resumed", "start": "started again", "stop": "stopped", "rollback": "rolled back"}[verb]
    by, reason = payload.get("by"), payload.get("reason")
    did += f" by {by}" if isinstance(by, str) else ""
    did += f": {reason}" if isinstance(reason, str) and reason else ""
    return "".join(c if c.isprintable() else " " for c in did[:300])
