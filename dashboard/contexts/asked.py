"""What a timeline's address asks for. Every view has an address, so all of it is parsed and written here.

Whatever cannot be read is left out: an address that somebody cut in half shows more, never an error.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import QueryDict

from agents.models import Kind
from agents.queries import timeline
from agents.queries.timeline import Chosen, Key

FIRST, LAST = datetime(1970, 1, 2, tzinfo=UTC), datetime(2900, 1, 1, tzinfo=UTC)
SPANS = {
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
SPAN_WORDS = {"1h": "hour", "6h": "6 h", "24h": "24 h", "7d": "7 days", "30d": "30 days"}


@dataclass(frozen=True, slots=True)
class Asked:
    """Filters, times, a place in the pages, and the entry that is open."""

    kind: str = ""
    tool: str = ""
    outcome: str = ""
    run: UUID | None = None
    group: int | None = None
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None
    span: str = ""
    before: Key | None = None
    after: Key | None = None
    upto: Key | None = None
    entry: str = ""

    @property
    def filtered(self) -> bool:
        return bool(self.kind or self.tool or self.outcome or self.run or self.group or self.text)

    @property
    def brushed(self) -> bool:
        return bool(self.since or self.until)

    def chosen(self, now: datetime) -> Chosen:
        since = self.since
        if self.span and not self.brushed:
            since = now - SPANS[self.span]
        return Chosen(self.kind, self.tool, self.outcome, self.run, self.group, self.text, since, self.until)

    def query(self) -> str:
        """The address's query; what is not asked for is left out."""
        pairs: dict[str, Any] = {
            "kind": self.kind,
            "tool": self.tool,
            "outcome": self.outcome,
            "run": self.run.hex if self.run else "",
            "group": self.group or "",
            "q": self.text,
            "span": self.span,
            "from": written(self.since),
            "to": written(self.until),
            "before": self.before or "",
            "after": self.after or "",
            "upto": self.upto or "",
            "entry": self.entry,
        }
        return "?" + urlencode({name: value for name, value in pairs.items() if value})

    def at(self, **changes: Any) -> str:
        """The query of a page with other filters: from its top, with nothing open."""
        top: dict[str, Any] = {"before": None, "after": None, "upto": None, "entry": ""}
        return replace(self, **(top | changes)).query()

    def opening(self, entry: str) -> str:
        """The query of this page with another entry open."""
        return replace(self, entry=entry).query()


def read(query: QueryDict) -> Asked:
    kind, span = query.get("kind", ""), query.get("span", "")
    since, until = moment(query.get("from", "")), moment(query.get("to", ""))
    if since and until and since >= until:
        since = until = None
    return Asked(
        kind=kind if kind in Kind.values else "",
        tool=words(query.get("tool", "")),
        outcome=words(query.get("outcome", ""), 40),
        run=_run(query.get("run", "")),
        group=number(query.get("group", "")),
        text=words(query.get("q", "")).strip(),
        since=since,
        until=until,
        span=span if span in SPANS else "",
        before=timeline.key(query.get("before", "")),
        after=timeline.key(query.get("after", "")),
        upto=timeline.key(query.get("upto", "")),
        entry=words(query.get("entry", ""), 60),
    )


def words(text: str, most: int = 200) -> str:
    """Text as the database takes it."""
    return text.replace("\0", "").encode(errors="replace").decode()[:most]


def number(text: str) -> int | None:
    """A row's number, or None for anything that can be none."""
    return int(text) if text.isascii() and text.isdecimal() and 0 < len(text) <= 18 else None


def moment(text: str) -> datetime | None:
    """A time in an address; without a zone it is UTC."""
    try:
        at = datetime.fromisoformat(text)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return at if FIRST <= at <= LAST else None


def written(at: datetime | None) -> str:
    """A time for an address, as short as it can be said."""
    if at is None:
        return ""
    at = at.astimezone(UTC)
    timespec = "auto" if at.microsecond else "seconds" if at.second else "minutes"
    return at.replace(tzinfo=None).isoformat(timespec=timespec) + "Z"


def _run(text: str) -> UUID | None:
    try:
        return UUID(text) if 32 <= len(text) <= 36 else None
    except ValueError:
        return None
