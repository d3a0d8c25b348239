"""The incidents of a project: open ones first, longest waiting first; then the closed, newest first."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict
from django.urls import reverse

from agents.models import Incident, Project
from agents.queries import incidents
from dashboard.contexts import waiting

STATES = {"open": "Open", "closed": "Closed", "": "All"}


def whole(project: Project, asked: QueryDict, now: datetime) -> dict[str, Any]:
    state = asked.get("state", "") if asked.get("state", "") in STATES else ""
    text = asked.get("q", "").replace("\x00", "").strip()[:100]
    page = asked.get("page", "")
    number = int(page) if page.isascii() and page.isdigit() and len(page) < 6 else 1
    listed = incidents.listed(project, state=state, text=text, page=number)
    counts = incidents.counts(project)
    counts[""] = counts["open"] + counts["closed"]
    return {
        "project": project,
        "now": now,
        "state": state,
        "text": text,
        "query": _query(state, text, listed.page),
        "rows": [{"row": waiting.row(one, now), "decided": decided(one)} for one in listed.incidents],
        "listed": listed,
        "chips": [
            {
                "word": word,
                "count": counts[key],
                "chosen": key == state,
                "address": _to(project, key, text, 1),
            }
            for key, word in STATES.items()
        ],
        "newer": _to(project, state, text, listed.page - 1) if listed.page > 1 else "",
        "older": _to(project, state, text, listed.page + 1) if listed.page < listed.pages else "",
        "topic": f"fleet-{project.pk}",
    }


def decided(incident: Incident) -> str:
    """What came of it, in the words of the list."""
    if incident.state in incidents.UNDECIDED:
        return ""
    last = max(incident.decisions.all(), key=lambda decision: decision.at, default=None)
    return f"{last.get_verb_display()} by {last.by}" if last else ""


def _query(state: str, text: str, page: int) -> str:
    pairs = {"state": state, "q": text, "page": page if page > 1 else ""}
    return urlencode({key: value for key, value in pairs.items() if value})


def _to(project: Project, state: str, text: str, page: int) -> str:
    said = _query(state, text, page)
    return reverse("incidents", args=[project.name]) + (f"?{said}" if said else "")
