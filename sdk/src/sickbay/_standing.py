"""How a checkpoint stands as far as this machine can tell: pure rules, the server's in short.

The server's word counts more, since humans speak there: it is taken over with each answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

GOOD, UNPROVEN, SUSPECT, BAD = "good", "unproven", "suspect", "bad"
USABLE = (GOOD, UNPROVEN)
SOAK_ACTIONS, SOAK_SECONDS = 10, 600.0


@dataclass(slots=True)
class Facts:
    """What happened since the checkpoint before; and, over the life of the process, what soaking needs."""

    passes: int = 0
    fails: int = 0
    unknowns: int = 0
    actions: int = 0
    unverified: int = 0
    checks: int = 0
    act: int = 0
    last_action: str | None = None
    ever_ok: int = 0
    ever_failed: int = 0

    def ended(self, act: int, name: str, ok: str | None, verdict: str | None) -> None:
        """An action has ended; `ok` as the ledger has it, None when it did not go well."""
        self.act, self.last_action = act, name
        if ok is not None:
            self.actions += 1
            self.ever_ok += 1
            self.unverified += not ok
        if verdict == "pass":
            self.passes += 1
        elif verdict == "fail":
            self.fails += 1
        elif verdict == "unknown":
            self.unknowns += 1

    def wire(self, failing: bool) -> dict[str, Any]:
        verdicts = {"pass": self.passes, "fail": self.fails, "unknown": self.unknowns}
        return {
            "failing": failing,
            "verdicts": verdicts,
            "actions": self.actions,
            "unverified": self.unverified,
            "checks": self.checks,
        }

    def put_back(self, wire: dict[str, Any]) -> None:
        """The checkpoint that should have held it was not taken."""
        verdicts = wire["verdicts"]
        self.passes, self.fails = self.passes + verdicts["pass"], self.fails + verdicts["fail"]
        self.unknowns += verdicts["unknown"]
        self.actions, self.unverified = self.actions + wire["actions"], self.unverified + wire["unverified"]
        self.checks += wire["checks"]

    def begin_anew(self) -> None:
        """A checkpoint holds what was counted."""
        self.passes = self.fails = self.unknowns = self.actions = self.unverified = self.checks = 0


@dataclass(frozen=True, slots=True)
class Ruling:
    standing: str
    tainted: bool
    proven: bool


def was_resumed(settled: dict[str, Any] | None, since: float) -> bool:
    """Whether a human let the agent go on from its state after this moment, with what failed in view."""
    return bool(settled and settled.get("verb") in ("resume", "start") and settled["at"] > since)


def on_arrival(facts: dict[str, Any], before: Ruling | None, *, is_first: bool) -> Ruling:
    """How a new checkpoint stands; `before` is its parent's ruling."""
    if before is None or before.standing == GOOD or (facts.get("resumed") and before.standing != BAD):
        before = Ruling(GOOD, False, False)
    verdicts = facts["verdicts"]
    tainted = bool(verdicts["fail"] or verdicts["unknown"]) or before.tainted or before.standing == BAD
    proven = bool(verdicts["pass"] or facts["checks"]) or before.proven
    if facts["failing"]:
        return Ruling(SUSPECT, tainted, proven)
    if tainted:
        return Ruling(UNPROVEN, True, proven)
    if facts.get("moving"):  # not of one moment: what was proven holds for the next one
        return Ruling(UNPROVEN, False, proven)
    if proven or is_first:
        return Ruling(GOOD, False, False)
    return Ruling(UNPROVEN, False, False)
