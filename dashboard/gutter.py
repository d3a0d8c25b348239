"""A history as a tree, drawn beside its rows: pure functions of ids and parents, newest first.

Each lane waits for one id, the parent of what was drawn in it; a row stands in the first lane that waits for
it, and the others end there. What waits at the end of a page is carried to the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

STEP, FIRST, MIDDLE = 12, 8, 18
MOST = 6
Lanes = list[str | None]


@dataclass(frozen=True, slots=True)
class Strand:
    """One row: x of the dot, and of the lines that pass, whether its own comes and goes, what joins it."""

    x: int
    passing: tuple[int, ...]
    above: bool
    below: bool
    joins: tuple[str, ...]


def strands(rows: Sequence[tuple[str, str | None]], waiting: Lanes) -> tuple[list[Strand], Lanes]:
    """A strand for each (id, parent), and the lanes that are still open below them."""
    lanes, drawn = list(waiting[:MOST]), []
    for id, parent in rows:
        mine = [n for n, waits in enumerate(lanes) if waits == id]
        for n in mine:
            lanes[n] = None
        lane = mine[0] if mine else _free(lanes)
        passing = tuple(_x(n) for n, waits in enumerate(lanes) if waits is not None and n != lane)
        if lane == len(lanes):
            lanes.append(None)
        has_room = lanes[lane] is None
        joins = tuple(f"M{_x(n)} 0C{_x(n)} {MIDDLE} {_x(lane)} 4 {_x(lane)} {MIDDLE}" for n in mine[1:])
        drawn.append(Strand(_x(lane), passing, bool(mine), has_room and parent is not None, joins))
        if has_room:
            lanes[lane] = parent
        while lanes and lanes[-1] is None:
            lanes.pop()
    return drawn, lanes


def _free(lanes: Lanes) -> int:
    """The first lane that waits for nothing; the last one when all do."""
    return next((n for n, waits in enumerate(lanes) if waits is None), min(len(lanes), MOST - 1))


def _x(lane: int) -> int:
    return FIRST + STEP * lane
