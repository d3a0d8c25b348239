"""Times in words: short, exact where it matters, the same in Python and in static/js/times.js.

An age has one unit, and two from a day on: `9 s`, `43 min`, `5 h`, `38 d 6 h`. The exact moment, with its
zone, always stands beside it, in the title of the `<time>` element.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

MINUTE, HOUR, DAY = 60, 3600, 86400
MINUS = "\N{MINUS SIGN}"


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


def date_of(day: date, now: datetime) -> str:
    """`Sunday, 22 November`, with the year when it is another."""
    return f"{day:%A}, {day.day} {day:%B}" + ("" if day.year == now.year else f" {day.year}")


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


def size(count: int) -> str:
    """`812 B`, `48.2 KB`, `312 KB`, `1.2 MB`."""
    if count < 1000:
        return f"{count} B"
    amount, unit = count / 1000, "KB"
    for larger in ("MB", "GB"):
        if amount < 999.5:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if amount >= 99.95 else f"{amount:.1f} {unit}"


def sizes(old: int, new: int) -> str:
    """`48.2 → 51.7 KB`: the unit once where it is the same."""
    before, after = size(old), size(new)
    return f"{before.split()[0] if before.split()[1] == after.split()[1] else before} → {after}"


def some(count: int, one: str, many: str = "") -> str:
    """`1 file`, `1,204 files`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def signed(count: int) -> str:
    return f"{'+' if count > 0 else MINUS}{abs(count):,}"
