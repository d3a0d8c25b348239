"""An agent's checkpoints as a tree, newest first, one page at a time; one of them may be open.

What changed is said in a word where it is known; else what the rows alone say, and the region asks for the
words once the page is there. Queries are as many for a page of fifty as for one of five.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict
from django.urls import reverse
from django.utils.safestring import SafeString

from agents import access
from agents.access import Actor
from agents.models import Agent
from checkpoints import compared, queries
from checkpoints.diffs.summary import Summary
from checkpoints.models import Checkpoint, Standing
from dashboard import gutter, phrasing
from dashboard.contexts import changed, drawn, standings, wrong
from dashboard.gutter import Strand

SIZE = 50
LANES = re.compile(r"\A[0-9a-f]{0,32}(\.[0-9a-f]{0,32}){0,5}\Z")
LAST = uuid.UUID(int=(1 << 128) - 1)


@dataclass(frozen=True, slots=True)
class Asked:
    """The place in the pages, the lanes that are open there, and the checkpoint that is open."""

    before: queries.Key | None = None
    lanes: tuple[str, ...] = ()
    open: uuid.UUID | None = None

    def query(self, **changes: Any) -> str:
        pairs = {"before": self.before, "lanes": ".".join(self.lanes), "open": self.open, **changes}
        said = urlencode({name: str(value) for name, value in pairs.items() if value})
        return f"?{said}" if said else "?"


@dataclass(frozen=True, slots=True)
class Line:
    """What a closed row is drawn from. `compare` leads to what changed since the one before."""

    id: str
    at: datetime
    standing: str
    words: str
    called: str
    size: str
    instance: str
    strand: Strand
    changed: str
    compare: str
    last_good: bool
    pinned: bool
    href: str


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the history; it is drawn where it is open, because then it has forms."""

    checkpoint: Checkpoint
    line: Line
    day: str = ""
    drawn: SafeString | None = None


def read(query: QueryDict) -> Asked:
    lanes = query.get("lanes", "")
    return Asked(
        before=queries.key(query.get("before", "")),
        lanes=tuple(lanes.split(".")) if lanes and LANES.match(lanes) else (),
        open=_uuid(query.get("open", "")),
    )


def region(agent: Agent, asked: Asked, actor: Actor, now: datetime, *, look: bool) -> dict[str, Any]:
    """All that the tab shows; with `look`, changes that nobody has looked at are looked at."""
    found, following = _page(agent, asked)
    parents = _parents(agent, found)
    told = _told(agent, found, parents, look=look)
    strands, lanes = gutter.strands(
        [(one.pk.hex, one.parent.hex if one.parent and one.parent in parents else None) for one in found],
        [lane or None for lane in asked.lanes],
    )
    rows = _rows(agent, asked, found, parents, strands, told, now)
    older = asked.query(before=following, lanes=".".join(lane or "" for lane in lanes), open="")
    path = reverse("agent_checkpoints", args=[agent.project.name, agent.name])
    opened = next((row for row in rows if row.drawn is None), None)
    return {
        "agent": agent,
        "project": agent.project,
        "now": now,
        "rows": rows,
        "lanes": min(gutter.MOST, max([len(lanes), *(1 + (s.x // gutter.STEP) for s in strands)], default=1)),
        "path": path,
        "query": asked.query(),
        "topic": f"agent-{agent.pk}",
        "bisect": reverse("agent_bisect", args=[agent.project.name, agent.name]),
        "unknown": None in told.values(),
        "older": f"{path}{older}" if following else "",
        "newest": path if asked.before else "",
        "at_top": asked.before is None,
        "opened": _opened(agent, opened, actor) if opened else None,
    }


def _page(agent: Agent, asked: Asked) -> tuple[list[Checkpoint], queries.Key | None]:
    """The page; an open checkpoint that is not on it begins one of its own."""
    found = queries.listed(agent.pk, before=asked.before, limit=SIZE)
    if asked.open and asked.open not in {one.pk for one in found[:SIZE]}:
        wanted = queries.of_agent(agent.pk, asked.open)
        if wanted is not None:
            found = queries.listed(agent.pk, before=queries.Key(wanted.at, LAST), limit=SIZE)
    more = found[SIZE - 1] if len(found) > SIZE else None
    return found[:SIZE], queries.Key(more.at, more.pk) if more else None


def _parents(agent: Agent, found: list[Checkpoint]) -> dict[uuid.UUID | None, Checkpoint]:
    """Those that are still there; the ones below the page in one query."""
    here: dict[uuid.UUID | None, Checkpoint] = {one.pk: one for one in found}
    absent = {one.parent for one in found if one.parent and one.parent not in here}
    if absent:
        here |= {one.pk: one for one in queries.rows().filter(agent_id=agent.pk, pk__in=absent)}
    return here


def _told(
    agent: Agent, found: list[Checkpoint], parents: Mapping[uuid.UUID | None, Checkpoint], *, look: bool
) -> dict[uuid.UUID, Summary | None]:
    """What changed in each since its parent, as far as it is known, or all of it."""
    pairs = [(parents[one.parent], one) for one in found if one.parent in parents]
    if look:
        words: list[Summary | None] = [*compared.summaries(agent.project_id, pairs)]
    else:
        words = [compared.known(*pair) for pair in pairs]
    return {one.pk: said for (_, one), said in zip(pairs, words, strict=True)}


def _rows(
    agent: Agent,
    asked: Asked,
    found: list[Checkpoint],
    parents: Mapping[uuid.UUID | None, Checkpoint],
    drawn_strands: list[Strand],
    told: Mapping[uuid.UUID, Summary | None],
    now: datetime,
) -> list[Row]:
    rows, day = [], now.astimezone(UTC).date()
    path = reverse("agent_checkpoints", args=[agent.project.name, agent.name])
    many = len({one.instance_id for one in found}) > 1
    for one, strand in zip(found, drawn_strands, strict=True):
        own, is_open = one.at.astimezone(UTC).date(), one.pk == asked.open
        line = _line(agent, path, asked, one, parents.get(one.parent), strand, told.get(one.pk), many=many)
        drawn_row = None if is_open else drawn.history_row(line)
        rows.append(Row(one, line, phrasing.date_of(own, now) if own != day else "", drawn_row))
        day = own
    return rows


def _line(
    agent: Agent,
    path: str,
    asked: Asked,
    one: Checkpoint,
    parent: Checkpoint | None,
    strand: Strand,
    known: Summary | None,
    *,
    many: bool,
) -> Line:
    said = changed.words(known) if known else changed.rough(parent, one) if parent else ""
    none = "the one before is gone" if one.parent else "begins here"
    return Line(
        id=one.pk.hex, at=one.at, standing=one.standing, words=standings.standing(one),
        called=one.label or standings.why(one), size=standings.size(one),
        instance=one.instance.name if many else "", strand=strand, changed=said or none,
        compare=address(agent.project.name, parent, one) if parent else "",
        last_good=one.pk == agent.last_good, pinned=one.pinned,
        href=path + asked.query(open="" if one.pk == asked.open else one.pk),
    )  # fmt: skip


def address(project: str, old: Checkpoint, new: Checkpoint) -> str:
    return reverse("compare", args=[project, old.pk, new.pk])


def _opened(agent: Agent, row: Row, actor: Actor) -> dict[str, Any]:
    """What unfolds: facts, what may be done, and what it may be compared with."""
    one, project = row.checkpoint, agent.project.name
    good = agent.last_good if agent.last_good and agent.last_good != one.pk else None
    return {
        "facts": [(name, value) for name, value in _facts(one) if value],
        "notes": one.notes if isinstance(one.notes, list) else [],
        "run": f"{reverse('agent', args=[project, agent.name])}?{urlencode({'run': one.run_id.hex})}",
        "short": standings.short(one),
        "compare": row.line.compare,
        "with_good": reverse("compare_pick", args=[project]) + f"?pick={good}&pick={one.pk}" if good else "",
        "judge": reverse("checkpoint_judge", args=[project, one.pk]),
        "roll_back": reverse("roll_back", args=[project, one.pk]),
        "pin": reverse("checkpoint_pin", args=[project, one.pk]),
        "wrong": wrong.address(project, agent.name, str(one.pk)),
        "may": access.can(actor, "decide", one),
        "may_be_good": one.judged_by != "verify",
        "choices": [(verdict, verdict.capitalize()) for verdict in (Standing.GOOD, Standing.BAD)],
    }


def _facts(one: Checkpoint) -> list[tuple[str, str]]:
    by = one.dependencies
    items = f", {phrasing.some(one.memory_items, 'value')} at the top" if one.memory_items else ""
    return [
        ("Why it stands so", one.reason),
        ("Said by", one.judged_by),
        ("Memory", f"{phrasing.size(one.memory_length)}{items}" if one.memory else "none"),
        (
            "Workspace",
            f"{phrasing.size(one.bytes)} in {phrasing.some(one.files, 'file')}" if one.workspace else "",
        ),
        ("Not of one moment", standings.moment(one).partition(": ")[2]),
        ("Last action", one.last_action),
        ("Since the one before", _since(one)),
        ("Code", by.code),
        ("Model", by.model),
        ("Tools", by.tools[:16]),
        ("Taken", standings.why(one)),
    ]


def _since(one: Checkpoint) -> str:
    counts = (
        (one.actions, "action went well", "actions went well"),
        (one.unverified, "of them unverified", "of them unverified"),
        (one.passes, "pass", "passes"), (one.fails, "fail", "fails"),
        (one.unknowns, "verdict unknown", "verdicts unknown"),
    )  # fmt: skip
    return ", ".join(phrasing.some(n, word, words) for n, word, words in counts if n)


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text) if 32 <= len(text) <= 36 else None
    except ValueError:
        return None
