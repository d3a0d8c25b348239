"""Reading the timeline: pages by key, steady at millions of rows.

A page is the next rows of (at, id) below or above a key, so that entries which arrive meanwhile move
nothing. What an index can find is found by it. What none can (a tool, an outcome, a text in titles, inputs
and outputs) is looked for in a bounded stretch of the same order: the page then says how far back it searched
and goes on from there. An index over texts would cost every event that comes; a search is rare.
An action and its failure are two events of one moment; a page never parts them.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet

from agents.models import Entry, Kind

PAGE = 50
STRETCH = 20_000
COUNTED = 5_000
NAMES_READ = 1_000
LOOKED_AT = 2
NEAR = timedelta(days=1)
COUPLE = {Kind.ACTION, Kind.FAILURE}
SOUGHT = re.compile(r'"([^"]+)"|(\S+)')
MOST_WORDS = 8
VERDICTS = ("pass", "fail", "unknown")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 12, 31, tzinfo=UTC)


class Key(NamedTuple):
    """Where an entry stands; written `<microseconds>_<id>` in addresses."""

    at: datetime
    id: str

    def __str__(self) -> str:
        return f"{(self.at - EPOCH) // timedelta(microseconds=1)}_{self.id}"


def key(text: str) -> Key | None:
    """The key that an address names, or None for anything else."""
    match = re.fullmatch(r"([0-9]{1,17})_([0-9a-zA-Z-]{1,60})", text, re.ASCII)
    return Key(EPOCH + timedelta(microseconds=int(match[1])), match[2]) if match else None


def key_of(entry: Entry) -> Key:
    return Key(entry.at, entry.id)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a reader asked for; everything empty means everything."""

    kind: str = ""
    name: str = ""
    outcome: str = ""
    run: UUID | None = None
    group: int | None = None
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def filtered(self) -> bool:
        return bool(self.kind or self.name or self.outcome or self.run or self.group or self.text)


@dataclass(frozen=True, slots=True)
class Page:
    """Entries newest first; `older` and `newer` are where the neighbours begin, if there are any."""

    entries: list[Entry]
    older: Key | None = None
    newer: Key | None = None
    searched_to: datetime | None = None


def newest(agent_id: int, chosen: Chosen, *, upto: Key | None = None, size: int = PAGE) -> Page:
    """The first page, or what it was when `upto` was its first entry."""
    rows = _of(agent_id, chosen)
    if upto is None:
        return _down(rows, chosen, size)
    page = _down(rows.filter(pk__lte=tuple(upto)), chosen, size)
    return replace(page, newer=upto)


def older(agent_id: int, chosen: Chosen, before: Key, *, size: int = PAGE) -> Page:
    """The page below a key."""
    page = _down(_of(agent_id, chosen).filter(pk__lt=tuple(before)), chosen, size)
    return replace(page, newer=_top(page.entries) or before)


def down(agent_id: int, chosen: Chosen, before: Key | None, *, size: int) -> Page:
    """The page below a key, or the first one."""
    if before is None:
        return newest(agent_id, chosen, size=size)
    return older(agent_id, chosen, before, size=size)


def newer(agent_id: int, chosen: Chosen, after: Key, *, size: int = PAGE) -> Page:
    """The page above a key; when it would not be full, the first page."""
    rows = _of(agent_id, chosen).filter(pk__gt=tuple(after)).order_by("at", "id")
    ceiling = _edge(rows) if _scans(chosen) else None
    if ceiling:
        rows = rows.filter(pk__lte=tuple(ceiling))
    found = list(_matching(rows, chosen)[: size + LOOKED_AT])
    if len(found) <= size and ceiling is None:
        return newest(agent_id, chosen, size=size)
    kept = _cut(found, size)
    above = _top(kept) if len(found) > len(kept) else ceiling
    return Page(_in_order(kept), older=_bottom(kept) or after, newer=above)


def count_newer(agent_id: int, chosen: Chosen, than: Key, *, most: int = 100) -> int:
    """How many entries wait above a key, counted no further than `most`."""
    rows = _of(agent_id, chosen).filter(pk__gt=tuple(than)).order_by("at", "id")
    edge = _edge(rows) if _scans(chosen) else None
    if edge:
        rows = rows.filter(pk__lte=tuple(edge))
    return _matching(rows, chosen)[:most].count()


def find(agent_id: int, id: str) -> Entry | None:
    """An entry of the agent by its id."""
    return _find(Entry.objects.filter(agent_id=agent_id), id)


def find_in(project_id: int, id: str) -> Entry | None:
    """The same over all agents of a project."""
    return _find(Entry.objects.filter(project_id=project_id), id)


def _find(rows: QuerySet[Entry], id: str) -> Entry | None:
    """A run's by its number, the server's own by the time in its UUIDv7."""
    if match := re.fullmatch(r"([0-9a-f]{32})-([0-9]{1,18})", id, re.ASCII):
        return rows.filter(run_id=UUID(match[1]), seq=int(match[2])).first()
    try:
        made = EPOCH + timedelta(milliseconds=UUID(id).int >> 80)
    except (ValueError, OverflowError):
        return None
    return rows.filter(id=id, at__gt=made - NEAR, at__lte=made + timedelta(seconds=1)).first()


def ending(entry: Entry) -> Entry:
    """The failure that an action ended with, or the entry itself."""
    if entry.kind != Kind.ACTION or entry.run_id is None or entry.seq is None:
        return entry
    after = Entry.objects.filter(run_id=entry.run_id, seq=entry.seq + 1, kind=Kind.FAILURE)
    return (
        after.filter(agent_id=entry.agent_id, at__range=(entry.at - NEAR, entry.at + NEAR)).first() or entry
    )


def counts(agent_id: int, chosen: Chosen) -> dict[str, int]:
    """Entries of each kind in the chosen times, each counted up to COUNTED + 1."""
    since, until = chosen.since or EPOCH, chosen.until or LAST
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT 'action', count(*) FROM (
                SELECT FROM agents_entry WHERE agent_id = %(agent)s AND at >= %(since)s AND at < %(until)s
                AND kind = 'action' LIMIT %(most)s) AS actions
            UNION ALL
            SELECT kind, count(*) FROM (
                SELECT kind FROM agents_entry WHERE agent_id = %(agent)s AND at >= %(since)s
                AND at < %(until)s AND kind <> 'action' LIMIT %(most)s) AS others GROUP BY kind
            """,
            {"agent": agent_id, "since": since, "until": until, "most": COUNTED + 1},
        )
        return dict(cursor.fetchall())


def names(agent_id: int, chosen: Chosen, *, most: int = 100) -> list[str]:
    """The tools in the newest stretch of the chosen times."""
    window = _of(agent_id, Chosen(since=chosen.since, until=chosen.until))[:NAMES_READ]
    found = {name for kind, name in window.values_list("kind", "name") if kind in ("action", "failure")}
    return sorted(found)[:most]


def _of(agent_id: int, chosen: Chosen) -> QuerySet[Entry]:
    rows = Entry.objects.filter(agent_id=agent_id).order_by("-at", "-id").defer("digest")
    if chosen.since:
        rows = rows.filter(at__gte=chosen.since)
    if chosen.until:
        rows = rows.filter(at__lt=chosen.until)
    # Says what agents_entry_rare is about, so that the planner may use it; it holds all but the actions.
    if chosen.group or chosen.kind not in ("", Kind.ACTION):
        rows = rows.exclude(kind=Kind.ACTION)
    return rows


def _scans(chosen: Chosen) -> bool:
    return bool(chosen.name or chosen.outcome or chosen.run or chosen.text or chosen.kind)


def _matching(rows: QuerySet[Entry], chosen: Chosen) -> QuerySet[Entry]:
    if chosen.kind:
        rows = rows.filter(kind=chosen.kind)
    if chosen.name:
        rows = rows.filter(name=chosen.name)
    if chosen.outcome in VERDICTS:
        rows = rows.filter(verdict=chosen.outcome)
    elif chosen.outcome:
        rows = rows.filter(outcome=chosen.outcome)
    if chosen.run:
        rows = rows.filter(run_id=chosen.run)
    if chosen.group:
        rows = rows.filter(group_id=chosen.group)
    for word in sought(chosen.text):
        # Bodies are kept as the JSON that came, in which a quote or a line's end is spelled otherwise.
        spelled = json.dumps(word, ensure_ascii=False)[1:-1]
        rows = rows.filter(Q(title__icontains=word) | Q(name__icontains=word) | Q(body__icontains=spelled))
    return rows


def sought(text: str) -> list[str]:
    """What an entry must have all of: words, and "words between quotes" as they stand.

    `order 4711` finds the input {"order": {"id": 4711}} as well as the sentence.
    """
    found = (quoted or word for quoted, word in SOUGHT.findall(text))
    return list(dict.fromkeys(found))[:MOST_WORDS]


def _edge(rows: QuerySet[Entry]) -> Key | None:
    """The last key of the stretch that is searched at once, or None when the rows end before."""
    found = rows.values_list("at", "id")[STRETCH : STRETCH + 1].first()
    return Key(*found) if found else None


def _down(rows: QuerySet[Entry], chosen: Chosen, size: int) -> Page:
    floor = _edge(rows) if _scans(chosen) else None
    if floor:
        rows = rows.filter(pk__gte=tuple(floor))
    found = list(_matching(rows, chosen)[: size + LOOKED_AT])
    kept = _cut(found, size)
    if len(found) > len(kept):
        return Page(_in_order(kept), older=_bottom(kept))
    return Page(_in_order(kept), older=floor, searched_to=floor.at if floor else None)


def _cut(found: list[Entry], size: int) -> list[Entry]:
    """A page of what was found; one more than `size` where the cut would part an action and its failure."""
    if len(found) > size and couple(found[size - 1], found[size]):
        return found[: size + 1]
    return found[:size]


def couple(one: Entry, other: Entry) -> bool:
    """Whether the two are an action and the failure it ended with."""
    if one.run_id is None or one.run_id != other.run_id or {one.kind, other.kind} != COUPLE:
        return False
    step = (one.seq or 0) - (other.seq or 0)
    return step == (1 if one.kind == Kind.FAILURE else -1)


def _top(entries: list[Entry]) -> Key | None:
    return max(map(key_of, entries), default=None)


def _bottom(entries: list[Entry]) -> Key | None:
    return min(map(key_of, entries), default=None)


def _in_order(entries: list[Entry]) -> list[Entry]:
    """Newest first; entries of one run and one moment by number, which as text would put 9 above 10."""
    return sorted(entries, key=_place, reverse=True)


def _place(entry: Entry) -> tuple[datetime, str, int]:
    return entry.at, entry.id if entry.seq is None else entry.id[:32], entry.seq or 0
