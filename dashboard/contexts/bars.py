"""The bars of an agent's last hour, as of now.

They are made when a minute closes; a quiet agent closes none, so its bars are moved along by the empty
minutes that have passed since.
"""

from __future__ import annotations

from datetime import datetime

import orjson

MINUTES = 60


def hour_until(bars: str, until: datetime | None, now: datetime) -> str:
    """`bars` with an empty minute for each that has closed since they were made; empty once all are gone."""
    if not bars or until is None:
        return ""
    passed = int((now - until).total_seconds() // 60)
    if passed <= 0:
        return bars
    if passed >= MINUTES:
        return ""
    return orjson.dumps((orjson.loads(bars) + [[0, 0]] * passed)[-MINUTES:]).decode()
