"""The timeline's partitions: the days around today exist before anything is written to them."""

from __future__ import annotations

import datetime as dt

from django.db import connection

AHEAD = dt.timedelta(days=7)


def ensure(now: dt.datetime) -> int:
    """Make what is missing from yesterday to a week ahead; how many were made."""
    today = now.astimezone(dt.UTC).date()
    with connection.cursor() as cursor:
        cursor.execute("SELECT agents_entry_days(%s, %s)", [today - dt.timedelta(days=1), today + AHEAD])
        made: int = cursor.fetchone()[0]
    return made
