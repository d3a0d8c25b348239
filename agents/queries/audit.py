"""Reading the audit log: newest first, by number."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import Q, QuerySet

from agents.models import AuditEntry

PAGE = 50
# From verb to next verb along the index: as many steps as there are verbs, however long the log is.
VERBS = """
WITH RECURSIVE stands AS (
    SELECT min(verb) AS verb FROM agents_auditentry WHERE project_id = %(project)s
    UNION ALL
    SELECT (SELECT min(verb) FROM agents_auditentry WHERE project_id = %(project)s AND verb > stands.verb)
    FROM stands WHERE stands.verb IS NOT NULL
)
SELECT verb FROM stands WHERE verb IS NOT NULL
"""
ACTORS = ("token",)
OBJECTS = ("agent", "incident", "token", "target", "project")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a reader asked for; everything empty means everything."""

    actor: str = ""
    verb: str = ""
    object: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page:
    entries: list[AuditEntry]
    older: int | None = None
    newer: int | None = None


def page(project_id: int, asked: Asked, *, before: int | None = None, after: int | None = None) -> Page:
    """The newest acts, or those next to a number that the reader has seen."""
    rows = _asked(AuditEntry.objects.filter(project_id=project_id), asked)
    if after is not None:
        above = list(rows.filter(pk__gt=after).order_by("pk")[: PAGE + 1])
        if len(above) > PAGE:
            above = above[:PAGE][::-1]
            return Page(above, older=above[-1].pk, newer=above[0].pk)
        before = None
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = list(rows.order_by("-pk")[: PAGE + 1])
    kept = found[:PAGE]
    return Page(
        kept,
        older=kept[-1].pk if len(found) > PAGE else None,
        newer=None if before is None else kept[0].pk if kept else before - 1,
    )


def all_of(project_id: int, asked: Asked, most: int) -> list[AuditEntry]:
    """The newest of what was asked for, as many as one file holds."""
    rows = _asked(AuditEntry.objects.filter(project_id=project_id), asked)
    return list(rows.order_by("-pk")[:most])


def verbs(project_id: int) -> list[str]:
    """Every verb that stands in the log of a project."""
    with connection.cursor() as cursor:
        cursor.execute(VERBS, {"project": project_id})
        return [verb for (verb,) in cursor.fetchall()]


def _begins(field: str, nouns: tuple[str, ...], text: str) -> Q:
    """It begins with the text, or does after one of the nouns: ranges of an index, where a part is a scan."""
    found = Q(**{f"{field}__istartswith": text})
    for noun in nouns:
        found |= Q(**{f"{field}__istartswith": f"{noun} {text}"})
    return found


def _asked(rows: QuerySet[AuditEntry], asked: Asked) -> QuerySet[AuditEntry]:
    if asked.actor:
        rows = rows.filter(_begins("actor", ACTORS, asked.actor))
    if asked.verb:
        rows = rows.filter(verb=asked.verb)
    if asked.object:
        rows = rows.filter(_begins("object", OBJECTS, asked.object))
    if asked.since:
        rows = rows.filter(at__gte=asked.since)
    if asked.until:
        rows = rows.filter(at__lt=asked.until)
    return rows
