"""Which items of two lists are the same, in order: by what occurs once, then by longest common run.

Marks are compared, not items: hashes or texts. What is alike at both ends falls away first; then marks that
occur once on either side are anchors (the longest increasing sequence of them, as in patience diff), and
what lies between two anchors is aligned in the same way. A small rest is aligned exactly; a large one of
nothing but repetitions is given as replaced.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

EXACT = 10_000  # cells of a table that is worth filling


class Gap(NamedTuple):
    """old[old_start:old_end] stands where new[new_start:new_end] stands now."""

    old_start: int
    old_end: int
    new_start: int
    new_end: int


def gaps(old: Sequence[Hashable], new: Sequence[Hashable]) -> Iterator[Gap]:
    """What is not the same, in order; everything between two gaps is."""
    waiting = [Gap(0, len(old), 0, len(new))]
    found = []
    while waiting:
        gap = _trimmed(old, new, waiting.pop())
        if gap.old_start == gap.old_end or gap.new_start == gap.new_end:
            if gap.old_start < gap.old_end or gap.new_start < gap.new_end:
                found.append(gap)
            continue
        is_single = gap.old_end - gap.old_start == gap.new_end - gap.new_start == 1
        inner = None if is_single else _split(old, new, gap)
        if inner is None:
            found.append(gap)
        else:
            waiting.extend(inner)
    yield from sorted(found)


def _trimmed(old: Sequence[Hashable], new: Sequence[Hashable], gap: Gap) -> Gap:
    a, b, c, d = gap
    while a < b and c < d and old[a] == new[c]:
        a, c = a + 1, c + 1
    while a < b and c < d and old[b - 1] == new[d - 1]:
        b, d = b - 1, d - 1
    return Gap(a, b, c, d)


def _split(old: Sequence[Hashable], new: Sequence[Hashable], gap: Gap) -> list[Gap] | None:
    """The gaps between what is found to be the same inside of this one; None when nothing is."""
    pairs = _anchors(old, new, gap)
    if not pairs and (gap.old_end - gap.old_start) * (gap.new_end - gap.new_start) <= EXACT:
        pairs = _exact(old, new, gap)
    if not pairs:
        return None
    inner, a, c = [], gap.old_start, gap.new_start
    for i, j in pairs:
        inner.append(Gap(a, i, c, j))
        a, c = i + 1, j + 1
    inner.append(Gap(a, gap.old_end, c, gap.new_end))
    return inner


def _anchors(old: Sequence[Hashable], new: Sequence[Hashable], gap: Gap) -> list[tuple[int, int]]:
    """Pairs of marks that occur once on either side, the most of them that are in order on both."""
    olds = Counter(old[gap.old_start : gap.old_end])
    news = Counter(new[gap.new_start : gap.new_end])
    places = {mark: i for i, mark in enumerate(old[gap.old_start : gap.old_end], gap.old_start)}
    pairs = [
        (places[mark], j)
        for j, mark in enumerate(new[gap.new_start : gap.new_end], gap.new_start)
        if news[mark] == 1 and olds.get(mark) == 1
    ]
    return increasing(pairs)


def increasing(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest sequence whose first numbers increase; the second ones do already."""
    tails: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for place, (i, _) in enumerate(pairs):
        at = bisect_left(tails, i)
        before.append(ends[at - 1] if at else -1)
        tails[at : at + 1] = [i]
        ends[at : at + 1] = [place]
    out, place = [], ends[-1] if ends else -1
    while place >= 0:
        out.append(pairs[place])
        place = before[place]
    return out[::-1]


def _exact(old: Sequence[Hashable], new: Sequence[Hashable], gap: Gap) -> list[tuple[int, int]]:
    """The longest common subsequence, by its table."""
    a, b, c, d = gap
    table = [[0] * (d - c + 1) for _ in range(b - a + 1)]
    for i in range(b - 1, a - 1, -1):
        for j in range(d - 1, c - 1, -1):
            row = i - a
            if old[i] == new[j]:
                table[row][j - c] = table[row + 1][j - c + 1] + 1
            else:
                table[row][j - c] = max(table[row + 1][j - c], table[row][j - c + 1])
    pairs, i, j = [], a, c
    while i < b and j < d:
        if old[i] == new[j]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif table[i + 1 - a][j - c] >= table[i - a][j + 1 - c]:
            i += 1
        else:
            j += 1
    return pairs
