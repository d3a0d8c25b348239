"""The airline transcripts as a list of tool calls, and an independent count of what must happen to them.

The counts are DESIGN's *Counting* and *Entering* written a second time, in a few lines and without the SDK,
so that the two can disagree.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SHARED = Path(os.environ.get("SICKBAY_SHARED", Path(__file__).parents[2] / "../shared")).resolve()
TRANSCRIPTS = SHARED / "data" / "airline.jsonl.gz"


def calls() -> list[tuple[str, Any, str]]:
    """Every tool call of the hundred runs: name, arguments, answer; paired by position."""
    found = []
    with gzip.open(TRANSCRIPTS, "rt") as file:
        for line in file:
            waiting: list[dict[str, Any]] = []
            for message in json.loads(line)["messages"]:
                waiting += message.get("tool_calls") or []
                if message["role"] == "tool":
                    call = waiting.pop(0)
                    found.append((call["name"], call["arguments"], message["content"] or ""))
    return found


def crashes_due(caught: Iterable[bool]) -> list[bool]:
    """Of kills within ten minutes, which count: each that caught an action, and each from the third on."""
    return [in_flight or number >= 3 for number, in_flight in enumerate(caught, 1)]


def pauses_due(outcomes: Iterable[tuple[str, bool]]) -> list[int]:
    """The places, counted in outcomes, after which the budget of 3 in a row and 10 an hour must pause.

    An outcome is an action's name and whether it failed; a counted crash is ("crash", True). None has a
    verdict, all lie within one hour, and each pause is resumed on probation before the next outcome.
    """
    streak: list[str] = []
    hour = probation = 0
    due = []
    for place, (name, failed) in enumerate(outcomes):
        if not failed:
            # Without a verdict a success proves only its own kind of action.
            streak = [] if set(streak) <= {name} else streak
            probation = max(0, probation - 1)
            continue
        streak.append(name)
        hour += 1
        if len(streak) >= 3 or hour >= 10 or probation:
            due.append(place)
            streak, hour, probation = [], 0, 10
    return due
