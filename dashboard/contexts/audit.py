"""The audit list: what its address asks for, and one page of acts with what the actor saw."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict

from agents.models import AuditEntry, Project
from agents.queries import audit
from agents.queries.audit import Asked
from dashboard import tables
from dashboard.contexts.asked import moment, number, words, written

MOST = 50_000
COLUMNS = ("id", "at", "actor", "verb", "object", "reason", "saw", "previous", "digest")


@dataclass(frozen=True, slots=True)
class Act:
    """One row; `saw` is what stood on the actor's screen, as text."""

    entry: AuditEntry
    saw: str


def asked(query: QueryDict) -> Asked:
    return Asked(
        actor=words(query.get("actor", "")).strip(),
        verb=words(query.get("verb", ""), 60),
        object=words(query.get("object", "")).strip(),
        since=moment(query.get("from", "")),
        until=moment(query.get("to", "")),
    )


def listed(project: Project, query: QueryDict, now: datetime) -> dict[str, Any]:
    """A page of the list, its filters as they stand, and the addresses of its neighbours."""
    wanted = asked(query)
    before, after = number(query.get("before", "")), number(query.get("after", ""))
    page = audit.page(project.pk, wanted, before=before, after=after)
    here = _pairs(wanted)
    return {
        "project": project,
        "now": now,
        "asked": wanted,
        "filtered": bool(here),
        "acts": [Act(entry, _saw(entry)) for entry in page.entries],
        "verbs": [("", "Any act"), *((verb, verb) for verb in audit.verbs(project.pk))],
        "older": "?" + urlencode(here | {"before": page.older}) if page.older else "",
        "newer": "?" + urlencode(here | {"after": page.newer}) if page.newer else "",
        "query": "?" + urlencode(here | ({"before": before} if before else {})),
        "exported": "?" + urlencode(here) if here else "",
        "most": MOST,
        "topic": f"fleet-{project.pk}",
    }


def exported(project: Project, query: QueryDict, form: str) -> str:
    """The newest acts that the filters find, with both digests, so that the chain can be walked again."""
    rows = map(_row, audit.all_of(project.pk, asked(query), MOST))
    if form == "csv":
        return tables.as_csv(COLUMNS, ({**row, "saw": json.dumps(row["saw"])} for row in rows))
    return tables.as_lines(rows)


def _row(entry: AuditEntry) -> dict[str, Any]:
    plain = {name: getattr(entry, name) for name in COLUMNS if name not in ("digest", "previous")}
    return plain | {"previous": bytes(entry.previous).hex(), "digest": bytes(entry.digest).hex()}


def _pairs(wanted: Asked) -> dict[str, Any]:
    pairs = {
        "actor": wanted.actor, "verb": wanted.verb, "object": wanted.object,
        "from": written(wanted.since), "to": written(wanted.until),
    }  # fmt: skip
    return {name: value for name, value in pairs.items() if value}


def _saw(entry: AuditEntry) -> str:
    return json.dumps(entry.saw, indent=2, ensure_ascii=False) if entry.saw else ""
