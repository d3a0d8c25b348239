"""Rows, and components of rows, that depend on a few plain values, drawn once for each combination.

A fleet page has a hundred gauges and most of them are alike; drawing each through its template took more
than half of the page's time, and so did a timeline's lines. These are the same templates, kept by what they
were drawn from.
"""

from __future__ import annotations

from collections.abc import Hashable
from datetime import datetime
from functools import lru_cache

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from agents.queries.budgets import Spent


@lru_cache(maxsize=4_096)
def gauge(spent: Spent) -> SafeString:
    said = {
        "consecutive": spent.consecutive,
        "max_consecutive": spent.max_consecutive,
        "hourly": spent.hourly,
        "max_hourly": spent.max_hourly,
    }
    return render_to_string("partials/ui/gauge.html", said)


@lru_cache(maxsize=4_096)
def bars(text: str) -> SafeString:
    return render_to_string("partials/ui/bars.html", {"bars": text})


@lru_cache(maxsize=4_096)
def status(status: str, note: str = "") -> SafeString:
    """A status with what stands beside it: an age, which most have for minutes, or words."""
    return render_to_string("partials/ui/status.html", {"status": status, "note": note})


@lru_cache(maxsize=4_096)
def history_row(line: Hashable) -> SafeString:
    """A closed line of the checkpoints' history (history.Line)."""
    return render_to_string("partials/checkpoint_row.html", {"line": line})


@lru_cache(maxsize=4_096)
def entry(
    id: str, at: datetime, kind: str, name: str, outcome: str, title: str, took: str, loud: bool, href: str
) -> SafeString:
    """A closed line of the timeline: it does not change, and every refetch of a page shows fifty of them."""
    said = {"id": id, "at": at, "kind": kind, "name": name}
    line = {"entry": said, "outcome": outcome, "title": title, "took": took, "loud": loud}
    return render_to_string("partials/timeline_entry.html", {"item": {"line": line, "href": href}})
