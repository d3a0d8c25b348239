"""The density strip: how much happened when, over the whole range, with the part that the page shows.

The bars stand on whole steps of the clock, so that they stay where they are while time goes on. They are
path data in a drawing that is stretched to the page's width; hours, the brush and the links to zoom are laid
over it in per cent of the same range.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil

from agents.queries import density
from dashboard.contexts.asked import SPAN_WORDS, SPANS, Asked
from dashboard.phrasing import clock

UP, DOWN, WIDE, GAP = 24, 9, 6, 2
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STEPS = {"1h": (1, 10), "6h": (2, 60), "24h": (10, 120), "7d": (60, 1440), "30d": (240, 4320)}


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch between two marks of the strip: where it stands, and its address."""

    left: float
    width: float
    href: str
    words: str
    time: str
    date: str


@dataclass(frozen=True, slots=True)
class Strip:
    span: str
    since: datetime
    until: datetime
    ok: str
    failed: str
    width: int
    words: str
    parts: list[Part]
    brush: tuple[float, float, float] | None
    times: str
    span_words: str
    range_words: str
    height: int = UP + 1 + DOWN
    base: int = UP


def strip(agent_id: int, asked: Asked, now: datetime) -> Strip:
    span = asked.span or _reaching(agent_id, asked, now)
    step = timedelta(minutes=STEPS[span][0])
    until = _ceiling(_end(asked, span, now), step)
    since = until - SPANS[span]
    bars = density.bars(agent_id, since, until, step)
    ok, failed = _paths(bars, since, step)
    return Strip(
        span=span,
        since=since,
        until=until,
        ok=ok,
        failed=failed,
        width=(WIDE + GAP) * int(SPANS[span] / step),
        words=f"{sum(b.ok for b in bars)} succeeded, {sum(b.failed for b in bars)} failed",
        parts=_parts(bars, asked, span, since, until),
        brush=_brush(asked, since, until),
        times=_times(asked, now),
        span_words=SPAN_WORDS[span],
        range_words=f"the last {SPAN_WORDS[span]}" if until >= now else f"{SPAN_WORDS[span]} around it",
    )


def _reaching(agent_id: int, asked: Asked, now: datetime) -> str:
    """The shortest span, from six hours, that shows the last thing that happened, or what was brushed."""
    if asked.since or asked.until:
        length = (asked.until or now) - (asked.since or (asked.until or now) - SPANS["6h"])
    else:
        newest = density.newest_minute(agent_id)
        length = now - newest if newest else timedelta()
    return next((s for s in ("6h", "24h", "7d") if SPANS[s] >= length), "30d")


def _end(asked: Asked, span: str, now: datetime) -> datetime:
    """Now, unless what was brushed would lie outside."""
    if asked.brushed:
        first = asked.since or asked.until or now
        if first < now - SPANS[span]:
            return min(now, asked.until or first + SPANS[span])
    return now


def _ceiling(at: datetime, step: timedelta) -> datetime:
    return EPOCH + ceil((at - EPOCH) / step) * step


def _paths(bars: list[density.Bar], since: datetime, step: timedelta) -> tuple[str, str]:
    most = max((bar.ok for bar in bars), default=0)
    up, down = [], []
    for bar in bars:
        x = (WIDE + GAP) * int((bar.at - since) / step)
        if bar.ok:
            height = max(2, ceil(bar.ok * UP / most))
            up.append(f"M{x} {UP}v-{height}h{WIDE}v{height}z")
        if bar.failed:
            height = min(DOWN, 5 + bar.failed)
            down.append(f"M{x} {UP + 1}h{WIDE}v{height}h-{WIDE}z")
    return "".join(up), "".join(down)


def _parts(bars: list[density.Bar], asked: Asked, span: str, since: datetime, until: datetime) -> list[Part]:
    mark = timedelta(minutes=STEPS[span][1])
    edges = [since, *_marks(since, until, mark), until]
    parts = []
    for first, last in itertools.pairwise(edges):
        ok = sum(b.ok for b in bars if first <= b.at < last)
        failed = sum(b.failed for b in bars if first <= b.at < last)
        at_mark = (first - EPOCH) % mark == timedelta()
        parts.append(
            Part(
                left=_share(first, since, until),
                width=_share(last, since, until) - _share(first, since, until),
                href=asked.at(since=first, until=last),
                words=f"{first:%-d %b %H:%M} to {last:%H:%M} UTC: {ok} succeeded, {failed} failed",
                time=_time_of(first, mark) if at_mark else "",
                date=f"{first:%a} {first.day} {first:%b}" if at_mark and _begins_day(first) else "",
            )
        )
    return parts


def _marks(since: datetime, until: datetime, mark: timedelta) -> list[datetime]:
    first = _ceiling(since, mark)
    if first == since:
        first += mark
    return [first + mark * n for n in range(ceil((until - first) / mark))]


def _time_of(at: datetime, mark: timedelta) -> str:
    return "" if mark >= timedelta(days=1) else f"{at:%H:%M}"


def _begins_day(at: datetime) -> bool:
    return at.hour == at.minute == 0


def _share(at: datetime, since: datetime, until: datetime) -> float:
    return round(100 * min(1.0, max(0.0, (at - since) / (until - since))), 3)


def _brush(asked: Asked, since: datetime, until: datetime) -> tuple[float, float, float] | None:
    """Left edge, width and right edge, in per cent."""
    if not asked.brushed:
        return None
    left = _share(asked.since, since, until) if asked.since else 0.0
    right = _share(asked.until, since, until) if asked.until else 100.0
    width = max(0.3, right - left)
    return left, width, round(left + width, 3)


def _times(asked: Asked, now: datetime) -> str:
    """`02:00 to 02:55 UTC`; days are named when they are not today."""
    if not asked.brushed:
        return ""
    first = _moment(asked.since, now) if asked.since else "The beginning"
    same_day = asked.since and asked.until and asked.since.date() == asked.until.date()
    if not asked.until:
        return f"{first} to now, UTC"
    last = clock_short(asked.until) if same_day else _moment(asked.until, now)
    return f"{first} to {last} UTC"


def _moment(at: datetime, now: datetime) -> str:
    return clock_short(at) if at.date() == now.date() else f"{at:%a} {at.day} {at:%b} {clock_short(at)}"


def clock_short(at: datetime) -> str:
    """Without seconds where there are none."""
    return clock(at) if at.second else clock(at)[:5]
