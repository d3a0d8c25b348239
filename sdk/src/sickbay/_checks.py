"""The agent's own checks of its state: what passes proves a checkpoint, what fails is a failure."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sickbay import _outcome
from sickbay._clock import Clock
from sickbay._flow import Flow
from sickbay._guard import harmless
from sickbay._standing import Facts

if TYPE_CHECKING:
    from sickbay._ledger import Ledger


class Checks:
    """The checks of one agent."""

    def __init__(self, checks: list[Callable[[], Any]], facts: Facts, ledger: Ledger, clock: Clock) -> None:
        self._checks, self._facts, self._ledger, self._clock = checks, facts, ledger, clock
        self._running = threading.local()

    def run(self) -> Flow[None]:
        """All of them. One that acts would come here again, and does not."""
        if not self._checks or getattr(self._running, "now", False):
            return
        self._running.now = True
        try:
            for check in self._checks:
                try:
                    verdict = _outcome.verdict_of((yield check, ()))
                except Exception as error:
                    verdict = _outcome.verdict_of_raise(error)
                self._count(check, verdict)
        finally:
            self._running.now = False

    @harmless(None)
    def _count(self, check: Callable[[], Any], verdict: _outcome.Verdict) -> None:
        name = getattr(check, "__name__", type(check).__name__)
        if verdict.passed:
            self._facts.checks += 1
            return
        if verdict.passed is None:
            self._facts.unknowns += 1
            title = f"check {name} could not tell" + (f": {verdict.why}" if verdict.why else "")
            self._ledger.note({"kind": "signal", "name": "check", "level": "warn", "title": title[:500]})
            return
        self._facts.fails += 1
        why = (verdict.why or f"{name} said no")[:500]
        failure = {"kind": "failure", "at": self._clock.wall(), "name": "check", "counted": True}
        failure |= {"failure": "verification", "exception": None, "message": why, "why": why}
        failure["title"] = f"check {name}: {why}"[:500]
        self._ledger.failed_outside(failure)
