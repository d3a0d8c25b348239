"""Small drawings as path data: pure functions of numbers, drawn with classes, so that no page needs a style.

Hour bars: one bar of 2 px a minute, gap 1, successes up from a line, failures (3 px wide) down from it.
A budget gauge: squares for the failures in a row, ticks for those of the hour, each row one path for what
is used and one for what is left; a limit too large to count by eye becomes a meter of the same width.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from math import ceil

MINUTES = 60
STEP = 3
UP, DOWN = 14, 8
BASE = UP
COUNTABLE = 12
METER = 40


@dataclass(frozen=True, slots=True)
class HourBars:
    ok: str
    failed: str
    words: str
    width: int = MINUTES * STEP - 1
    height: int = UP + 2 + DOWN
    base: int = BASE


@lru_cache(maxsize=4096)
def hour_bars(text: str) -> HourBars:
    """Bars of the last hour from `[[ok, failed], …]`, oldest minute first; shorter lists end at now."""
    minutes = [(max(0, ok), max(0, failed)) for ok, failed in (json.loads(text) if text else [])][-MINUTES:]
    start = MINUTES - len(minutes)
    most = max((ok for ok, _ in minutes), default=0)
    up, down = [], []
    for place, (ok, failed) in enumerate(minutes, start):
        if ok:
            height = max(2, ceil(ok * UP / most))
            up.append(f"M{place * STEP} {BASE}v-{height}h2v{height}z")
        if failed:
            height = min(DOWN, 5 + failed)
            down.append(f"M{place * STEP} {BASE + 1}h3v{height}h-3z")
    succeeded, fell = sum(ok for ok, _ in minutes), sum(failed for _, failed in minutes)
    return HourBars("".join(up), "".join(down), f"{succeeded} succeeded, {fell} failed in the last hour")


@dataclass(frozen=True, slots=True)
class Count:
    """One half of a gauge: `used` of `limit`, with its tone when it is at or next to the limit."""

    used: int
    limit: int
    full: str
    free: str
    width: int
    tone: str


@dataclass(frozen=True, slots=True)
class Gauge:
    streak: Count
    hour: Count
    tone: str

    @property
    def words(self) -> str:
        return (
            f"{self.streak.used} of {self.streak.limit} failures in a row, "
            f"{self.hour.used} of {self.hour.limit} this hour"
        )


def _tone(used: int, limit: int) -> str:
    if used >= limit:
        return "bad"
    return "warn" if 0 < used == limit - 1 else ""


def _boxes(first: int, last: int, width: int, gap: int, inset: float) -> str:
    side, tall = width - 2 * inset, 8 - 2 * inset
    return "".join(
        f"M{place * (width + gap) + inset:g} {inset:g}h{side:g}v{tall:g}h-{side:g}z"
        for place in range(first, last)
    )


def _count(used: int, limit: int, width: int, gap: int) -> Count:
    tone = _tone(used, limit)
    if limit > COUNTABLE:
        filled = METER if used >= limit else min(METER - 1, ceil(METER * used / limit))
        full = f"M0 0h{filled}v8h-{filled}z" if filled else ""
        return Count(used, limit, full, f"M.5 .5h{METER - 1}v7h-{METER - 1}z", METER, tone)
    shown = min(used, limit)
    full, free = _boxes(0, shown, width, gap, 0), _boxes(shown, limit, width, gap, 0.5)
    return Count(used, limit, full, free, max(1, limit * (width + gap) - gap), tone)


@lru_cache(maxsize=4096)
def gauge(consecutive: int, max_consecutive: int, hourly: int, max_hourly: int) -> Gauge:
    streak = _count(consecutive, max_consecutive, 8, 2)
    hour = _count(hourly, max_hourly, 3, 1)
    tones = {streak.tone, hour.tone}
    return Gauge(streak, hour, "bad" if "bad" in tones else "warn" if "warn" in tones else "")


def share(percent: float, width: int = 40) -> float:
    """How far a meter of `width` is filled, never outside it."""
    return round(width * min(100.0, max(0.0, percent)) / 100, 1)
