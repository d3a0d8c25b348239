"""Which lines of a batch are new: arithmetic over a run's high-water mark and the gaps below it. Pure.

    acked 10, gaps [[4, 6]], batch 5..13  →  repeats 7..10, fills 5..6, news 11..13; acked 13, gaps [[4, 4]]

Without the gaps a late event would be cut as a repeat and acknowledged falsely.
"""

from __future__ import annotations

from dataclasses import dataclass

MOST_GAPS = 1000

Gap = tuple[int, int]  # both ends inclusive


class TooManyGaps(ValueError):
    """A run with more than a thousand holes is not a spool that lost segments; send it in order."""


@dataclass(frozen=True, slots=True)
class Cut:
    repeats: list[int]
    fills: list[int]
    news: list[int]
    acked: int
    gaps: list[Gap]


def cut(acked: int, gaps: list[Gap], first: int, n: int) -> Cut:
    """What a batch of `n` lines from `first` on means for a run that has come this far."""
    last = first + n - 1
    if n == 0:
        return Cut([], [], [], acked, gaps)
    news = list(range(max(first, acked + 1), last + 1))
    old = range(first, min(last, acked) + 1)
    fills = [seq for low, high in gaps for seq in range(max(low, first), min(high, last) + 1)]
    filled = set(fills)
    repeats = [seq for seq in old if seq not in filled]
    left = _without(gaps, first, last)
    if first > acked + 1:
        left = [*left, (acked + 1, first - 1)]
    if len(left) > MOST_GAPS:
        raise TooManyGaps(TooManyGaps.__doc__)
    return Cut(repeats, fills, news, max(acked, last), left)


def _without(gaps: list[Gap], first: int, last: int) -> list[Gap]:
    left = []
    for low, high in gaps:
        if high < first or low > last:
            left.append((low, high))
            continue
        if low < first:
            left.append((low, first - 1))
        if high > last:
            left.append((last + 1, high))
    return left
