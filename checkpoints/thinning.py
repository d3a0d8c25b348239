"""Which checkpoints age leaves: all of the last hour, then one in each stretch of time, ever fewer.

A policy is a list of (younger than so many seconds, keep one every so many seconds); the last age may be
None, for ever. What is older than the last age goes. Stretches are counted from the epoch, so that what was
kept yesterday is kept today; in each the newest good one stays, else the newest.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import NamedTuple

HOUR, DAY, WEEK = 3600, 86_400, 604_800
Step = tuple[float | None, float]
DEFAULT: list[Step] = [(HOUR, 0), (DAY, 600), (WEEK, HOUR), (90 * DAY, DAY), (None, WEEK)]


class Seen(NamedTuple):
    """A checkpoint, as far as thinning needs it."""

    id: object
    at: dt.datetime
    is_good: bool


def checked(steps: object) -> list[Step]:
    """The policy, or ValueError with what is wrong with it."""
    if not isinstance(steps, list) or not steps:
        raise ValueError("a policy is a list of [younger than, keep one every], in seconds")
    found: list[Step] = []
    for step in steps:
        age, every = step
        if every < 0 or (age is not None and age <= (found[-1][0] or 0 if found else 0)):
            raise ValueError("a policy's ages rise, and nothing is negative")
        found.append((age, every))
    return found


def left_by_age(seen: Iterable[Seen], steps: list[Step], now: dt.datetime) -> set[object]:
    """The ids that stay."""
    kept: set[object] = set()
    best: dict[tuple[int, int], Seen] = {}
    for one in seen:
        place = _step(steps, (now - one.at).total_seconds())
        if place is None:
            continue
        every = steps[place][1]
        if not every:
            kept.add(one.id)
            continue
        stretch = place, int(one.at.timestamp() // every)
        other = best.get(stretch)
        if other is None or (one.is_good, one.at) > (other.is_good, other.at):
            best[stretch] = one
    return kept | {one.id for one in best.values()}


def _step(steps: list[Step], age: float) -> int | None:
    for place, (younger, _) in enumerate(steps):
        if younger is None or age < younger:
            return place
    return None
