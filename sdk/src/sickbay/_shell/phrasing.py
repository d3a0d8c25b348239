"""Times, sizes and places in words, and times out of words."""

from __future__ import annotations

import datetime as dt
import re

from sickbay._errors import BadArgument

UNITS = {
    "s": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86_400,
    "day": 86_400, "w": 604_800, "week": 604_800,
}  # fmt: skip
AGO = re.compile(r"(\d{1,6})\s*\.?\s*([a-z]+?)s?(?:\.|\s)*(?:ago)?\Z")
PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,60}\Z")


def date(at: dt.datetime) -> str:
    """As git writes it, in the reader's time zone."""
    here = at.astimezone()
    return f"{here:%a %b} {here.day} {here:%H:%M:%S %Y %z}"


def stamp(at: dt.datetime) -> str:
    """The same, short."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def size(count: int) -> str:
    if count < 1_000:
        return f"{count} bytes"
    for unit in ("KB", "MB", "GB"):
        count_in, count = count / 1_000, count // 1_000
        if count < 1_000:
            return f"{count_in:.1f} {unit}"
    return f"{count:,} GB"


def some(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def since(text: str, now: dt.datetime) -> dt.datetime:
    """`2026-11-26`, `2026-11-26T02:00`, `02:00`, `2h`, `3 days ago`; without a zone it is the reader's."""
    said = text.strip().lower()
    if said in ("now", "today", "yesterday"):
        midnight = now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
        return {"now": now, "today": midnight, "yesterday": midnight - dt.timedelta(days=1)}[said]
    found = AGO.match(said)
    if found and found[2] in UNITS:
        return now - dt.timedelta(seconds=int(found[1]) * UNITS[found[2]])
    try:
        if re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", said):
            return dt.datetime.combine(
                now.astimezone().date(), dt.time.fromisoformat(said.zfill(5))
            ).astimezone()
        read = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        raise BadArgument(f"{text!r:.60} is no time: write 2026-11-26, 02:00, 2h or '3 days ago'") from None
    return read if read.tzinfo else read.astimezone()


def place(path: list[str | int]) -> str:
    """Where a value stands in a memory: `messages.3.content`; a key of other letters as JSON writes it."""
    import json

    steps = [step if isinstance(step, str) and PLAIN.match(step) else json.dumps(step) for step in path]
    return ".".join(map(str, steps)) or "(all of it)"
