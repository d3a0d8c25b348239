"""Tables to take away: CSV that no spreadsheet runs, and JSON lines."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.http import HttpResponse

from dashboard import phrasing

FORMULA = re.compile(r"\A[\s\0]*[=+\-@|%]")
UNSEEN = re.compile(r"[\0-\x1f\x7f-\x9f]+")
TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "jsonl": "application/x-ndjson; charset=utf-8",
}


def as_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """One line each under a head; no cell can be read as a formula."""
    out = io.StringIO()
    written = csv.writer(out)
    written.writerow(columns)
    for row in rows:
        written.writerow([cell(row[name]) for name in columns])
    return out.getvalue()


def as_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    """A JSON object on each line; times are ISO, UTC."""
    return "".join(json.dumps(row, ensure_ascii=False, default=phrasing.iso) + "\n" for row in rows)


def cell(value: Any) -> str:
    """Spreadsheets run what begins like a formula, so that is quoted; times are ISO, UTC."""
    if value is None:
        return ""
    text = phrasing.iso(value) if hasattr(value, "astimezone") else str(value)
    text = UNSEEN.sub(" ", text)
    return f"'{text}" if FORMULA.match(text) else text


def file(body: str, form: str, name: str) -> HttpResponse:
    """Under a name of ours; browsers neither open nor keep it."""
    response = HttpResponse(body, content_type=TYPES[form])
    response["Content-Disposition"] = f'attachment; filename="{name}.{form}"'
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "no-store"
    return response
