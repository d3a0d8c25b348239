"""The morning page: what happened since a time, and what whoever takes over has to know."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count
from django.http import QueryDict
from django.urls import reverse

from agents.models import Project
from agents.queries import shift
from checkpoints.models import Rollback
from dashboard import phrasing
from dashboard.contexts.asked import moment
from dashboard.contexts.incident_list import decided

SPANS = (
    ("8h", "8 hours", timedelta(hours=8)),
    ("24h", "24 hours", timedelta(hours=24)),
    ("3d", "3 days", timedelta(days=3)),
    ("7d", "7 days", timedelta(days=7)),
)
EARLIEST = timedelta(days=31)


def page(project: Project, asked: QueryDict, now: datetime) -> dict[str, Any]:
    longs = {key: long for key, _, long in SPANS}
    span = asked.get("span", "")
    span = span if span in longs else "8h"
    start = moment(asked.get("since", "")) or now - longs[span]
    start = min(max(start, now - EARLIEST), now)
    found = shift.since(project.pk, start, now)
    here = reverse("shift", args=[project.name])
    return {
        "project": project,
        "now": now,
        "start": start,
        "found": found,
        "opened": [(one, decided(one)) for one in found.opened],
        "spans": [
            (word, f"{here}?{urlencode({'span': key})}", key == span and not asked.get("since"))
            for key, word, _ in SPANS
        ],
        "rollbacks": _rollbacks(project, start),
        "had_for": phrasing.age(found.had_for.total_seconds()) if found.had_for else "",
        "waited_for": phrasing.age(found.waited_for.total_seconds()) if found.waited_for else "",
        "share": _share(found.done, found.failed),
        "address": f"{here}?{urlencode({'since': start.isoformat()})}",
    }


def _share(done: int, failed: int) -> str:
    """How many of a hundred failed, where anything was done."""
    return f"{100 * failed / (done + failed):.1f} %" if done + failed else ""


def _rollbacks(project: Project, start: datetime) -> list[str]:
    """In words, by whom, and how they ended."""
    rows = Rollback.objects.filter(project=project, ordered_at__gte=start, state__in=("verified", "failed"))
    by = {"human": "by people", "agent": "by agents themselves", "verdict": "by healing"}
    counted = rows.values_list("asked_by", "state").annotate(count=Count("pk")).order_by("asked_by", "state")
    return [f"{count} {by[asked]}, {state}" for asked, state, count in counted]
