"""Whose turn it is: pure rules over wall clocks.

Turns are handed over at a local time, so that "Monday at 9" stays that when the clocks change. A hand-over
in the hour that is skipped happens when that hour would have been; one in the hour that comes twice happens
the first time, and is not taken back when the clock is.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Stand:
    """An override: this person, from then until then."""

    person: int
    starts_at: dt.datetime
    ends_at: dt.datetime


@dataclass(frozen=True)
class Rota:
    """`people` in the order of their turns; `stands` the newest last; the hours None: all day."""

    people: Sequence[int]
    zone: ZoneInfo
    starts_on: dt.date
    hand_over: dt.time
    every_days: int
    weekdays: int = 0b1111111
    since: dt.time | None = None
    until: dt.time | None = None
    stands: Sequence[Stand] = ()


@dataclass(frozen=True)
class Shift:
    """Somebody's time on duty; nobody's (None) is a gap."""

    person: int | None
    starts_at: dt.datetime
    ends_at: dt.datetime


def on_duty(rota: Rota, at: dt.datetime) -> int | None:
    """Who is on duty then; None in a gap."""
    for stand in reversed(rota.stands):
        if stand.starts_at <= at < stand.ends_at:
            return stand.person
    if not rota.people or not covers(rota, at):
        return None
    turn = turn_at(rota, at)
    return None if turn < 0 else rota.people[turn % len(rota.people)]


def covers(rota: Rota, at: dt.datetime) -> bool:
    """Whether the rota's own hours hold this moment; hours that end before they start go over midnight."""
    local = at.astimezone(rota.zone)
    day, time = local.date(), local.time()
    if rota.since is None or rota.until is None or rota.since == rota.until:
        return _is_covered(rota, day)
    if rota.since < rota.until:
        return _is_covered(rota, day) and rota.since <= time < rota.until
    if time >= rota.since:
        return _is_covered(rota, day)
    return time < rota.until and _is_covered(rota, day - DAY)


def turn_at(rota: Rota, at: dt.datetime) -> int:
    """The number of the turn that holds this moment, 0 the first; negative before the rota starts."""
    day = at.astimezone(rota.zone).date()
    turn = (day - rota.starts_on).days // rota.every_days
    if at < starts(rota, turn):
        return turn - 1
    return turn + 1 if at >= starts(rota, turn + 1) else turn


def starts(rota: Rota, turn: int) -> dt.datetime:
    """The moment at which a turn is handed over."""
    day = rota.starts_on + DAY * (turn * rota.every_days)
    return dt.datetime.combine(day, rota.hand_over, rota.zone).astimezone(dt.UTC)


def shifts(rota: Rota, start: dt.datetime, end: dt.datetime) -> list[Shift]:
    """Who is on duty between the two moments, gaps too, with nothing left out and nothing twice."""
    marks = sorted({start, end, *(mark for mark in _marks(rota, start, end) if start < mark < end)})
    found: list[Shift] = []
    for since, until in itertools.pairwise(marks):
        person = on_duty(rota, since)
        if found and found[-1].person == person:
            found[-1] = Shift(person, found[-1].starts_at, until)
        else:
            found.append(Shift(person, since, until))
    return found


def quiet_until(zone: ZoneInfo, since: dt.time, until: dt.time, at: dt.datetime) -> dt.datetime | None:
    """When the quiet hours that hold this moment end; None outside of them."""
    night = Rota([0], zone, dt.date.min, dt.time(), 1, since=since, until=until)
    if since == until or not covers(night, at):
        return None
    local = at.astimezone(zone)
    day = local.date() if local.time() < until else local.date() + DAY
    return dt.datetime.combine(day, until, zone).astimezone(dt.UTC)


def _is_covered(rota: Rota, day: dt.date) -> bool:
    return bool(rota.weekdays >> day.weekday() & 1)


def _marks(rota: Rota, start: dt.datetime, end: dt.datetime) -> Iterator[dt.datetime]:
    """Every moment at which the answer may change: hand-overs, hours, midnights, overrides."""
    for stand in rota.stands:
        yield from (stand.starts_at, stand.ends_at)
    day = start.astimezone(rota.zone).date() - DAY
    while day <= end.astimezone(rota.zone).date() + DAY:
        for time in (dt.time(), rota.hand_over, rota.since, rota.until):
            if time is not None:
                for fold in (0, 1):
                    yield dt.datetime.combine(day, time, rota.zone).replace(fold=fold).astimezone(dt.UTC)
        day += DAY
