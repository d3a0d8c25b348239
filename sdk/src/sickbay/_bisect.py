"""The first of many that fails a check, in as many looks as halving needs. Pure.

It holds for what passes up to some point and fails from there on. What passes, fails and passes again has
several such points; halving finds one of them, so both its neighbours are named. The server has the same rule
(checkpoints/bisecting); neither imports the other, and a test holds them together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

MOST_SKIPPED = 20

Ends = Literal["found", "newest_passes", "oldest_fails", "nothing", "unknown"]


@dataclass(frozen=True)
class Bisected:
    """`bad`: the first that fails, `good`: the last that passes before it; places from the oldest, 0, on.

    `skipped` could not be judged. Those of them between the two may be the first one, too.
    """

    ends: Ends
    good: int | None = None
    bad: int | None = None
    looks: int = 0
    skipped: list[int] = field(default_factory=list)


def first_bad(count: int, passes: Callable[[int], bool | None]) -> Bisected:
    """`passes` may say None of one that cannot be judged; another is asked for then."""
    search = _Search(count, passes)
    newest = search.ask_from(range(count - 1, -1, -1))
    if newest is None:
        return search.told("nothing" if not count else "unknown")
    if search.said[newest]:
        return search.told("newest_passes", good=newest)
    oldest = search.ask_from(range(newest))
    if oldest is None or not search.said[oldest]:
        return search.told("oldest_fails", bad=newest if oldest is None else oldest)
    good, bad = oldest, newest
    while (middle := search.ask_between(good, bad)) is not None:
        good, bad = (middle, bad) if search.said[middle] else (good, middle)
    return search.told("found" if len(search.skipped) <= MOST_SKIPPED else "unknown", good=good, bad=bad)


class _Search:
    def __init__(self, count: int, passes: Callable[[int], bool | None]) -> None:
        self.said: dict[int, bool] = {}
        self.skipped: list[int] = []
        self._passes = passes

    def ask_from(self, places: range) -> int | None:
        """The first of these places that can be judged."""
        for place in places:
            if len(self.skipped) > MOST_SKIPPED:
                return None
            if self._judged(place):
                return place
        return None

    def ask_between(self, good: int, bad: int) -> int | None:
        """One of those in between, the middle or the nearest to it that can be judged."""
        middle = (good + bad) // 2
        between = range(max(good + 1, middle - MOST_SKIPPED - 1), min(bad, middle + MOST_SKIPPED + 2))
        around = sorted(between, key=lambda place: abs(place - middle))
        for place in around:
            if len(self.skipped) > MOST_SKIPPED:
                return None
            if place not in self.skipped and self._judged(place):
                return place
        return None

    def _judged(self, place: int) -> bool:
        said = self._passes(place)
        if said is None:
            self.skipped.append(place)
            return False
        self.said[place] = said
        return True

    def told(self, ends: Ends, *, good: int | None = None, bad: int | None = None) -> Bisected:
        return Bisected(ends, good, bad, len(self.said) + len(self.skipped), sorted(self.skipped))
