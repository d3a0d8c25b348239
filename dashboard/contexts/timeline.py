"""The timeline of an agent: the strip, the filters, and one page of lines.

One region: the page includes it, and every link in it asks for it again at the address that it carries. The
list in it is a region of its own, since news are entries: it is fetched with each of them, strip and filters
once none came for a second, or with the pulse. While somebody reads (an entry is open, or the page is
scrolled, which static/js/timeline.js says by asking for `upto`), the page holds: its first line stays the
first, and what is newer waits behind a count.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from django.urls import reverse
from django.utils.safestring import SafeString

from agents.models import Agent, Entry, Kind
from agents.queries import density, incidents, timeline
from agents.queries.timeline import COUNTED, Page
from dashboard import phrasing
from dashboard.contexts import drawn, entries, strip
from dashboard.contexts.asked import SPAN_WORDS, Asked
from dashboard.contexts.entries import Line

QUIET = timedelta(minutes=10)
MOST_NEW = 99
NEWEST, FOLDED_FROM, NAMED = 5, 5, 3
RUNS_OFFERED = 20
CHIPS = (
    (Kind.ACTION, "Actions"), (Kind.FAILURE, "Failures"), (Kind.SIGNAL, "Signals"), (Kind.PAUSE, "Pauses"),
    (Kind.DECISION, "Decisions"), (Kind.COMMAND, "Commands"), (Kind.RUN, "Runs"), (Kind.VERDICT, "Verdicts"),
    (Kind.CHECKPOINT, "Checkpoints"), (Kind.ROLLBACK, "Rollbacks"),
)  # fmt: skip
ALWAYS = frozenset({Kind.ACTION, Kind.FAILURE, Kind.SIGNAL, Kind.DECISION})
OUTCOMES = (
    ("pass", "Verified: pass"), ("fail", "Verified: fail"), ("unknown", "Verified: unknown"),
    ("ok", "Succeeded"), ("failed", "Failed"), ("cancelled", "Cancelled"), ("interrupted", "Interrupted"),
    ("error", "Failure: error"), ("verification", "Failure: verification"), ("crash", "Failure: crash"),
    ("silence", "Failure: silence"),
)  # fmt: skip
STILL: dict[str, str] = {Kind.PAUSE: "Paused"}
ENDED = frozenset({"finished", "failed", "vanished"})


@dataclass(frozen=True, slots=True)
class Item:
    """One row of the list: an entry, a quiet stretch, successes in a row, or the beginning of a day."""

    template: str
    line: Line | None = None
    href: str = ""
    opened: entries.Opened | None = None
    run_href: str = ""
    group_href: str = ""
    because_href: str = ""
    words: str = ""
    at: datetime | None = None
    drawn: SafeString | None = None
    items: tuple[Item, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    word: str
    href: str
    chosen: bool = False
    count: str = ""
    kind: str = ""


def region(agent: Agent, asked: Asked, now: datetime) -> dict[str, Any]:
    """All that the timeline's region shows."""
    shown = listing(agent, asked, now)
    asked = shown["asked"]
    return shown | {
        "strip": strip.strip(agent.pk, asked, now),
        "spans": _spans(asked),
        "chips": _chips(agent, asked, now),
        "menus": _menus(agent, asked, now),
        "carried_text": carried(asked, "q"),
        "carried_times": carried(asked, "from", "to", "span"),
    }


def listing(agent: Agent, asked: Asked, now: datetime) -> dict[str, Any]:
    """The list alone."""
    page, asked = _page(agent, asked, now)
    chosen = asked.chosen(now)
    found = _lines(page)
    held = page.newer if asked.upto else None
    first = held or (timeline.key_of(page.entries[0]) if page.entries else None)
    return {
        "agent": agent,
        "asked": asked,
        "now": now,
        "path": reverse("agent", args=[agent.project.name, agent.name]),
        "topic": f"agent-{agent.pk}",
        "untouched": not (found or asked.filtered or asked.brushed or asked.span or asked.before),
        "items": _items(found, asked, now),
        "waiting": timeline.count_newer(agent.pk, chosen, held, most=MOST_NEW + 1) if held else 0,
        "most_new": MOST_NEW,
        "first": first,
        "holds": bool(asked.entry),
        "at_top": not (asked.before or asked.after),
        "newest_href": asked.at(),
        "newer_href": asked.at(after=page.newer) if page.newer and not held else "",
        "older_href": asked.at(before=page.older) if page.older else "",
        "searched_to": page.searched_to,
        "everything_href": asked.at(kind="", tool="", outcome="", run=None, group=None, text=""),
        "any_time_href": asked.at(since=None, until=None, span=""),
    }


def mark(agent: Agent, now: datetime) -> str:
    """What the region is known by: while it is the same, nothing has come and no bar has grown."""
    return f"{agent.version}.{int(now.timestamp() // 60)}"


def _page(agent: Agent, asked: Asked, now: datetime) -> tuple[Page, Asked]:
    """The page asked for. An open entry that is not on it is looked up and begins a page of its own."""
    chosen = asked.chosen(now)
    if asked.before:
        page = timeline.older(agent.pk, chosen, asked.before)
    elif asked.after:
        page = timeline.newer(agent.pk, chosen, asked.after)
        asked = asked if page.newer else replace(asked, after=None)
    else:
        page = timeline.newest(agent.pk, chosen, upto=asked.upto)
    if not asked.entry or any(e.id == asked.entry for e in page.entries):
        return page, asked
    entry = timeline.find(agent.pk, asked.entry)
    if entry is None:
        return page, replace(asked, entry="")
    asked = replace(asked, before=None, after=None, upto=timeline.key_of(timeline.ending(entry)))
    return timeline.newest(agent.pk, asked.chosen(now), upto=asked.upto), asked


def _lines(page: Page) -> list[Line]:
    """The page's lines; failures whose action a filter left out get it from one query more."""
    here = {(e.run_id, e.seq) for e in page.entries if e.kind == Kind.ACTION and e.seq}
    alone = [
        e for e in page.entries
        if e.kind == Kind.FAILURE and e.seq and e.run_id and (e.run_id, e.seq - 1) not in here
    ]  # fmt: skip
    return entries.lines(page.entries, incidents.actions_of(alone) if alone else {})


def _items(found: list[Line], asked: Asked, now: datetime) -> list[Item]:
    items: list[Item] = []
    day = now.astimezone(UTC).date()
    for n, line in enumerate(found):
        above = found[n - 1] if n else None
        quiet = _quiet(above, line) if above and not asked.filtered else ""
        if quiet:
            items.append(Item("partials/timeline_quiet.html", words=quiet))
        if (own := line.entry.at.astimezone(UTC).date()) != day:
            items.append(
                Item("partials/timeline_day.html", words=phrasing.date_of(own, now), at=line.entry.at)
            )
            day = own
        items.append(_opened(line, asked) if asked.entry in line.ids else _closed(line, asked))
    return items if asked.filtered else _folded(items, found[: 0 if asked.before or asked.after else NEWEST])


def _folded(items: list[Item], newest: list[Line]) -> list[Item]:
    """Long runs of successes that say nothing more become one line; the newest few lines are left alone."""
    made: list[Item] = []
    spared = {line.entry.id for line in newest}

    def foldable(item: Item) -> bool:
        return item.line is not None and item.line.ordinary and item.line.entry.id not in spared

    for ordinary, run in groupby(items, foldable):
        rows = tuple(run)
        made += [_fold(rows)] if ordinary and len(rows) >= FOLDED_FROM else rows
    return made


def _fold(rows: tuple[Item, ...]) -> Item:
    """One line for them all, open when one of them is."""
    lines = [item.line for item in rows if item.line]
    names = Counter(line.entry.name for line in lines)
    some = [f"{n} {name}" for name, n in names.most_common(NAMED)]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    first, last = phrasing.clock(lines[-1].entry.at), phrasing.clock(lines[0].entry.at)
    opened = next((item.opened for item in rows if item.opened), None)
    words = f"{len(lines)} successes, {first} to {last}: {', '.join(some)}{more}"
    return Item("partials/timeline_fold.html", lines[-1], opened=opened, words=words, items=rows)


def _closed(line: Line, asked: Asked) -> Item:
    entry, href = line.entry, asked.opening(line.entry.id)
    row = drawn.entry(
        entry.id, entry.at, entry.kind, entry.name, line.outcome, line.title, line.took, line.loud, href
    )
    return Item("partials/timeline_entry.html", line=line, href=href, drawn=row)


def _opened(line: Line, asked: Asked) -> Item:
    entry, because = line.entry, line.body.get("because")
    return Item(
        "partials/timeline_entry.html",
        line=line,
        href=asked.opening(""),
        opened=entries.opened(line),
        run_href=asked.at(run=entry.run_id),
        group_href=asked.at(group=entry.group_id) if entry.group_id else "",
        because_href=asked.at(entry=because) if isinstance(because, str) and because else "",
    )


def _quiet(above: Line, below: Line) -> str:
    """What the stretch between two lines was, if nothing happened in it for long."""
    lasted = entries.seconds((above.with_action and entries.read(above.with_action.body)) or above.body) or 0
    begun = above.entry.at - timedelta(seconds=min(lasted, 1e8))
    gap = begun - below.entry.at
    if gap < QUIET:
        return ""
    word = "No process for" if _ended(below.entry) else f"{STILL.get(below.entry.kind, 'Idle')} for"
    first, last = below.entry.at, begun
    start = f"{first:%H:%M}" if first.date() == last.date() else phrasing.day(first, last)
    return f"{word} {phrasing.age(gap.total_seconds())}, {start} to {last:%H:%M}"


def _ended(entry: Entry) -> bool:
    return entry.kind == Kind.RUN and entry.name in ENDED


def _chips(agent: Agent, asked: Asked, now: datetime) -> list[Choice]:
    """Everything, then each kind; with how many there are, unless a search would have to count them."""
    counts = timeline.counts(agent.pk, asked.chosen(now))
    counted = not replace(asked, kind="").filtered
    everything = _capped(sum(counts.values())) if counted else ""
    chips = [Choice("Everything", asked.at(kind=""), not asked.kind, everything)]
    for kind, word in CHIPS:
        if kind in ALWAYS or counts.get(kind) or asked.kind == kind:
            count = _capped(counts.get(kind, 0)) if counted else ""
            chips.append(Choice(word, asked.at(kind=kind), asked.kind == kind, count, kind))
    return chips


def _capped(count: int) -> str:
    return f"{COUNTED:,}+" if count > COUNTED else f"{count:,}"


def _menus(agent: Agent, asked: Asked, now: datetime) -> list[dict[str, Any]]:
    """Drop-down filters: tool, outcome, run; each says what is chosen."""
    names = timeline.names(agent.pk, asked.chosen(now))
    if asked.tool and asked.tool not in names:
        names.insert(0, asked.tool)
    runs, _ = density.runs(agent.pk, size=RUNS_OFFERED)
    offered = [
        (r.id, f"{phrasing.day(r.started_at, now)} {_instance(r.instance.name)}{r.state}") for r in runs
    ]
    if asked.run and asked.run not in {id for id, _ in offered}:
        offered.insert(0, (asked.run, asked.run.hex[:8]))
    return [
        _menu("tool", "Any tool", asked.tool, [(name, name, asked.at(tool=name)) for name in names], asked),
        _menu(
            "outcome", "Any outcome", asked.outcome, [(v, w, asked.at(outcome=v)) for v, w in OUTCOMES], asked
        ),
        _menu("run", "Any run", asked.run, [(r, w, asked.at(run=r)) for r, w in offered], asked),
    ]


def _instance(name: str) -> str:
    return "" if name == "main" else f"{name} "


def _menu(
    name: str, any_word: str, value: str | UUID | None, choices: list[tuple[Any, str, str]], asked: Asked
) -> dict[str, Any]:
    none: Any = None if name == "run" else ""
    offered = [Choice(any_word, asked.at(**{name: none}), not value)]
    offered += [Choice(word, href, own == value) for own, word, href in choices]
    chosen = next((choice.word for choice in offered if choice.chosen), str(value))
    return {"name": name, "word": chosen, "choices": offered, "active": bool(value)}


def _spans(asked: Asked) -> list[Choice]:
    plain = not asked.span and not asked.brushed
    spans = [Choice("Any time", asked.at(span="", since=None, until=None), plain)]
    for span, word in SPAN_WORDS.items():
        href = asked.at(span=span, since=None, until=None)
        spans.append(Choice(f"Last {word}", href, asked.span == span and not asked.brushed))
    return spans


def carried(asked: Asked, *leave: str) -> list[tuple[str, str]]:
    """What a form of the timeline carries along beside its own fields."""
    return [(name, value) for name, value in parse_qsl(asked.at()[1:]) if name not in leave]
