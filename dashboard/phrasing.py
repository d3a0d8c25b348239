"""Times in words: short, exact where it matters, the same in Python and in static/js/times.js.

An age has one unit, and two from a day on: `9 s`, `43 min`, `5 h`, `38 d 6 h`. The exact moment, with its
zone, always stands beside it, in the title of the `<time>` element.
"""

from __future__ import annotations

from datetime import UTC, datetime

MINUTE, HOUR, DAY = 60, 3600, 86400


def age(seconds: float) -> str:
    whole = max(0, int(seconds))
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min"
    if whole < DAY:
        return f"{whole // HOUR} h"
    return f"{whole // DAY} d {whole % DAY // HOUR} h"


def took(seconds: float) -> str:
    """How long something took: one decimal below ten seconds."""
    return f"{seconds:.1f} s" if seconds < 10 else age(seconds)


def exact(at: datetime) -> str:
    at = at.astimezone(UTC)
    return f"{at.day} {at:%b %Y, %H:%M:%S} UTC"


def day(at: datetime, now: datetime) -> str:
    """`02:51` today, `14 Nov 09:20` this year, with the year before that."""
    at, now = at.astimezone(UTC), now.astimezone(UTC)
    if at.date() == now.date():
        return f"{at:%H:%M}"
    year = "" if at.year == now.year else f" {at.year}"
    return f"{at.day} {at:%b}{year} {at:%H:%M}"


def clock(at: datetime) -> str:
    return f"{at.astimezone(UTC):%H:%M:%S}"


def iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def minute(at: datetime) -> str:
    return f"{at.astimezone(UTC):%H:%M}"


def nth(number: int) -> str:
    """1st, 2nd, 3rd, 4th … 11th … 21st."""
    last = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{last}"
