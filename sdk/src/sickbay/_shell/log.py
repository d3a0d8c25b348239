"""Show the checkpoints of an agent, or with --timeline what it did, newest first.

A checkpoint is shown with its id, its standing and how it was proven, its label, and the one it came after.
With --graph the branches that rollbacks left are drawn.
"""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar
from urllib.parse import quote

from sickbay._operator import Operator
from sickbay._shell import asking, entries, phrasing, revisions, told
from sickbay._shell.graph import Graph
from sickbay._shell.terminal import Screen, Span

Row = TypeVar("Row", told.Checkpoint, told.Entry)
EXAMPLES = """\
  sickbay log refund-desk                        its checkpoints
  sickbay log refund-desk --oneline -n 20        the last twenty, a line each
  sickbay log refund-desk --graph --oneline      with the branches that rollbacks left
  sickbay log refund-desk --timeline --since 2h  what it did in the last two hours
"""
COLOURS = {"good": "green", "suspect": "yellow", "bad": "red"}
WHY = {
    "asked": "asked for", "every": "taken by the clock", "effect": "before an external action",
    "rollback": "just before a rollback", "start": "at the start", "end": "at the end of a run",
    "judged": "judged",
}  # fmt: skip


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("agent", metavar="AGENT")
    parser.add_argument("-n", "--max-count", type=int, metavar="N", help="at most so many")
    parser.add_argument("--oneline", action="store_true", help="a line each")
    parser.add_argument("--since", metavar="WHEN", help="not older: 2026-11-26, 02:00, 2h, '3 days ago'")
    parser.add_argument("--until", metavar="WHEN", help="not newer")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--checkpoints", action="store_true", help="its checkpoints, which is the default")
    what.add_argument("--timeline", action="store_true", help="its timeline: actions, failures, decisions …")
    parser.add_argument("--graph", action="store_true", help="draw which checkpoint came after which")
    parser.add_argument("--standing", choices=("good", "unproven", "suspect", "bad"), help="only these")
    parser.add_argument("--kind", metavar="KIND", help="with --timeline: only action, failure, decision …")
    asking.server_arguments(parser)


def run(given: argparse.Namespace) -> int:
    return asking.asked(given, lambda operator, screen: _shown(operator, screen, given))


def _shown(operator: Operator, screen: Screen, given: argparse.Namespace) -> int:
    now = dt.datetime.now(dt.UTC)
    since = phrasing.since(given.since, now) if given.since else None
    until = phrasing.since(given.until, now) if given.until else None
    its = revisions.agent(operator, given.agent)
    path, page = f"agents/{quote(its.name, safe='')}/", min(given.max_count or 100, 100) or 1
    most = None if given.max_count is None else max(0, given.max_count)
    if given.timeline:
        done = operator.each(f"{path}timeline/", "entries", told.Entry, kind=given.kind, limit=page)
        _timeline(screen, islice(_between(done, since, until), most), oneline=given.oneline)
        return 0
    found = operator.each(
        f"{path}checkpoints/", "checkpoints", told.Checkpoint, standing=given.standing, limit=page
    )
    rows = islice(_between(found, since, until), most)
    graph = Graph() if given.graph else None
    is_filtered = bool(since or until or given.standing or most is not None)
    one = None
    for one, older in _with_older(rows):
        _checkpoint(screen, one, older, its.last_known_good, graph, oneline=given.oneline)
    if one is None and not is_filtered:
        raise revisions.no_checkpoint(its.name)
    return 0


def _between(rows: Iterable[Row], since: dt.datetime | None, until: dt.datetime | None) -> Iterator[Row]:
    for row in rows:
        if since is not None and row.at < since:
            return
        if until is None or row.at <= until:
            yield row


def _with_older(
    rows: Iterable[told.Checkpoint],
) -> Iterator[tuple[told.Checkpoint, told.Checkpoint | None]]:
    """Each with the next one of the list."""
    before: told.Checkpoint | None = None
    for row in rows:
        if before is not None:
            yield before, row
        before = row
    if before is not None:
        yield before, None


def names(one: told.Checkpoint, last_known_good: str | None) -> list[Span]:
    """How it stands, in brackets."""
    said: list[Span] = [(one.standing, COLOURS.get(one.standing, ""))]
    if one.proven_by:
        said += [", ", one.proven_by]
    if one.id == last_known_good:
        said += [", ", ("last known good", "bold green")]
    if one.pinned:
        said += [", ", ("pinned", "cyan")]
    return [" (", *said, ")"]


def subject(one: told.Checkpoint) -> str:
    if one.label:
        return one.label
    why = WHY.get(one.why, one.why)
    return f"{why}, after {one.last_action}" if one.last_action and one.why in ("effect", "every") else why


def _checkpoint(
    screen: Screen,
    one: told.Checkpoint,
    older: told.Checkpoint | None,
    good: str | None,
    graph: Graph | None,
    *,
    oneline: bool,
) -> None:
    for joining in graph.before(one) if graph else []:
        screen.line(joining)
    if oneline:
        head = (revisions.short(one.id), "yellow")
        screen.line(graph.row() if graph else "", head, *names(one, good), " ", subject(one))
        return
    screen.line(graph.row() if graph else "", (f"checkpoint {one.id}", "yellow"), *names(one, good))
    beside = graph.beside() if graph else ""
    for line in _long(one, older):
        screen.line(beside, *line)
    if older is not None:
        screen.line(beside)


def _long(one: told.Checkpoint, older: told.Checkpoint | None) -> Iterator[list[Span]]:
    yield [f"Agent:  {one.agent} / {one.instance}"]
    yield ["Date:   ", phrasing.date(one.at)]
    if one.parent is not None:
        is_branch = older is not None and older.instance == one.instance and older.id != one.parent
        yield ["Parent: ", revisions.short(one.parent), " (a branch begins there)" if is_branch else ""]
    yield [""]
    yield ["    ", subject(one)]
    if one.reason:
        yield ["    ", (one.reason, "dim")]


def _timeline(screen: Screen, rows: Iterable[told.Entry], *, oneline: bool) -> None:
    is_first = True
    for entry in rows:
        marks = entries.marks(entry)
        said = entry.title or entry.name
        if oneline:
            screen.line((phrasing.stamp(entry.at), "yellow"), f" {entry.kind}", *marks, " ", said)
            continue
        if not is_first:
            screen.line("")
        is_first = False
        screen.line((f"{entry.kind} {entry.id}", "yellow"), *marks)
        screen.line("Date:   ", phrasing.date(entry.at))
        screen.line("")
        screen.line("    ", said)
