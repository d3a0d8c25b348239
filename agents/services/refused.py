"""Registrations that were refused: kept for whoever looks at the fleet and misses an agent.

Whatever the sender says is text with a bound; a name has one row however often it tries, and a project has
the newest few. A row goes when an agent of that name starts.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db import transaction
from django.db.models import F

from agents.announce import changed_project
from agents.models import RefusedRegistration
from agents.services import lines
from agents.services.snapshots import text

MOST = 20
NO_NAME = "a name has a-z, 0-9, . _ and -, begins with a letter or digit, and ends within 63 characters"
QUIET = dt.timedelta(seconds=10)


@transaction.atomic
def note(*, project_id: int, body: bytes, why: str, now: dt.datetime) -> None:
    name, why = text(_name(body), 64), NO_NAME if "$.agent" in why else text(why, 300)
    known = RefusedRegistration.objects.filter(project_id=project_id, name=name)
    before = known.first()
    if before is None:
        fresh = RefusedRegistration(project_id=project_id, name=name, why=why, last_at=now)
        RefusedRegistration.objects.bulk_create([fresh], ignore_conflicts=True)
        _forget_the_oldest(project_id)
    else:
        known.update(why=why, times=F("times") + 1, last_at=now)
    if before is None or before.why != why or now - before.last_at > QUIET:
        changed_project(project_id)


def started(project_id: int, name: str) -> None:
    """It is let in now; its refusals are over."""
    RefusedRegistration.objects.filter(project_id=project_id, name=name).delete()


def _name(body: bytes) -> str:
    """What it calls itself, where that can be read at all."""
    try:
        said: Any = lines.read(body, lines.LONGEST * 4)
    except lines.Refused:
        return ""
    name = said.get("agent") if isinstance(said, dict) else None
    return name if isinstance(name, str) else ""


def _forget_the_oldest(project_id: int) -> None:
    of_project = RefusedRegistration.objects.filter(project_id=project_id)
    kept = of_project.order_by("-last_at", "-pk").values_list("pk", flat=True)[:MOST]
    of_project.exclude(pk__in=list(kept)).delete()
