"""The standing of a checkpoint: rules without a clock or a database.

good      no counted failure was open, no verdict since the last good one was `fail` or `unknown`, and it
          is proven: a pass since the last good one, ten actions and ten minutes that went well after it,
          a human's word, or that it is the first
unproven  not yet
          One whose files went on changing while it was taken is of no one moment: neither a verdict nor time
          proves it, only a human's word; a verdict that came with it counts for the next one
suspect   taken while failures were counting
          A human who lets it go on from its state has seen what failed: that no longer stands between.
bad       condemned
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

SOAK_ACTIONS = 10
SOAK_TIME = dt.timedelta(minutes=10)
MOVING = "its files went on changing while it was taken"


@dataclass(frozen=True, slots=True)
class Facts:
    """What happened since the checkpoint before."""

    failing: bool = False
    passes: int = 0
    fails: int = 0
    unknowns: int = 0
    checks: int = 0
    resumed: bool = False
    moving: bool = False


@dataclass(frozen=True, slots=True)
class Before:
    """What hangs over from the parent; a good one leaves nothing behind."""

    standing: str
    tainted: bool
    proven: bool


@dataclass(frozen=True, slots=True)
class Ruling:
    standing: str
    proven_by: str
    reason: str
    tainted: bool
    proven: bool
    soaks: bool


def on_arrival(facts: Facts, before: Before | None, *, is_first: bool) -> Ruling:
    """How a new checkpoint stands. Without a parent nothing hangs over."""
    if before is None or before.standing == "good" or (facts.resumed and before.standing != "bad"):
        before = Before("good", tainted=False, proven=False)
    from_bad = before.standing == "bad"
    tainted = bool(facts.fails or facts.unknowns) or before.tainted or from_bad
    proven = bool(facts.passes or facts.checks) or before.proven
    if facts.failing:
        return Ruling("suspect", "", "taken while failures were counting", tainted, proven, False)
    if tainted:
        return Ruling("unproven", "", _taint(facts, from_bad=from_bad), True, proven, False)
    if facts.moving:
        return Ruling("unproven", "", MOVING, False, proven, False)
    if proven or is_first:
        return Ruling("good", "verified" if proven else "start", "", False, False, False)
    return Ruling("unproven", "", "", False, False, True)


def _taint(facts: Facts, *, from_bad: bool) -> str:
    if from_bad:
        return "it descends from a bad one"
    if facts.fails:
        return "a verification failed since the last good one"
    return "a verdict since the last good one was unknown"


def soaked(
    at: dt.datetime, first_failure: dt.datetime | None, successes: int, now: dt.datetime
) -> Literal["good", "never", "wait"]:
    """Whether time has proven it; `successes` are the actions that went well before the first failure."""
    if successes >= SOAK_ACTIONS and (first_failure or now) - at >= SOAK_TIME:
        return "good"
    return "never" if first_failure is not None else "wait"
