"""Two checkpoints beside each other: what is the same first, then memory and workspace.

Only what differs is loaded, and only so much of it as is shown; the rest is asked for, a part at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from agents import access
from agents.access import Actor
from checkpoints import queries
from checkpoints.compared import UNREADABLE, Pair
from checkpoints.diffs import places
from checkpoints.diffs.items import Item, Path, value_of
from checkpoints.diffs.memory import Change, MemoryDiff, is_folded, opened
from checkpoints.diffs.summary import is_message
from checkpoints.diffs.workspace import WorkspaceDiff
from checkpoints.models import Checkpoint
from dashboard import phrasing
from dashboard.contexts import standings
from dashboard.contexts.comparing import files, paths, rows, sections
from dashboard.contexts.comparing.rows import Row
from dashboard.contexts.comparing.sections import Kept, Plan, Rest
from dashboard.contexts.standings import Named
from dashboard.contexts.values import cut

SHOWN, INNER = 120, 20
OFFERED, VERSION = 30, 60
KEYS, KEYS_NAMED = 200, 4
STRETCH, ENDS = 60, 25
INSTRUCTIONS = frozenset({"instructions", "system", "system_prompt", "system_message", "persona"})
SYSTEM = (b'"role":"system"', b'"role":"developer"', b'"type":"system"')


@dataclass(frozen=True, slots=True)
class Fold:
    """A stretch that stayed, opened on demand."""

    words: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    figures: list[tuple[str, str]]
    entries: list[Row | Fold]


def whole(pair: Pair, actor: Actor, now: datetime, start: int, wanted: str) -> dict[str, Any]:
    """The page below its top bar."""
    here = address(pair)
    agent = pair.new.agent
    history = reverse("agent_checkpoints", args=[agent.project.name, agent.name])
    crumbs = [(agent.name, reverse("agent", args=[agent.project.name, agent.name])), ("Checkpoints", history)]
    return {
        "project": agent.project, "agent": agent, "now": now, "pair": pair, "here": here, "wanted": wanted,
        "crumbs": [*crumbs, ("Compare", "")],
        "older": Named(pair.old), "newer": Named(pair.new), "pickers": pickers(pair),
        "may_reveal": may_reveal(actor, pair), "history": history,
        "roll_back": reverse("roll_back", args=[agent.project.name, pair.old.pk]),
        "same": same(pair), "is_same": pair.old.pk == pair.new.pk,
        "memory": memory(pair, start, wanted), "workspace": workspace(pair, wanted),
    }  # fmt: skip


def address(pair: Pair) -> str:
    return reverse("compare", args=[pair.new.agent.project.name, pair.old.pk, pair.new.pk])


def may_reveal(actor: Actor, pair: Pair) -> bool:
    return access.can(actor, "decide", pair.new)


def pickers(pair: Pair) -> list[tuple[str, str, Named, list[Named]]]:
    """For each side the newest checkpoints of the agent, and the last known good."""
    project, agent = pair.new.agent.project.name, pair.new.agent
    found = queries.listed(agent.pk, limit=OFFERED)[:OFFERED]
    good = agent.last_good
    if good and good not in {one.pk for one in found}:
        found += [one for one in [queries.of_agent(agent.pk, good)] if one]

    def offered(one: Checkpoint, *, old: bool) -> Named:
        args = [one.pk, pair.new.pk] if old else [pair.old.pk, one.pk]
        return Named(one, reverse("compare", args=[project, *args]))

    return [
        ("Older", "older", Named(pair.old), [offered(one, old=True) for one in found]),
        ("Newer", "newer", Named(pair.new), [offered(one, old=False) for one in found]),
    ]


def same(pair: Pair) -> list[tuple[bool, str]]:
    """Instructions, tools, code and model: whether each is the same, in words."""
    old, new = pair.old.dependencies, pair.new.dependencies
    said = _instructions(pair)
    if old.tools or new.tools:
        said.append((old.tools == new.tools, "Tools same" if old.tools == new.tools else "Tools differ"))
    equal, differ = [], []
    for word, a, b in (("code", old.code, new.code), ("model", old.model, new.model)):
        if a == b and a:
            equal.append(f"{word} {_short(a)}")
        elif a != b:
            differ.append((False, f"{word.capitalize()} {_short(a)} → {_short(b)}"))
    if equal:
        words = " and ".join(equal)
        said.append((True, f"{words[0].upper()}{words[1:]} same"))
    for side, one in (("older", pair.old), ("newer", pair.new)):
        if words := standings.moment(one):
            differ.append((False, f"The {side} one is {words}"))
    return said + differ


def _short(version: str) -> str:
    return cut(version, VERSION) if version else "unknown"


def _instructions(pair: Pair) -> list[tuple[bool, str]]:
    diff = pair.memory
    if not isinstance(diff, MemoryDiff) or pair.new.memory is None:
        return []
    if _instructs(diff):
        return [(False, "Instructions differ")]
    return [(True, "Instructions same")] if diff.complete else []


def _instructs(diff: MemoryDiff) -> bool:
    """Whether a change is in what the agent is told to be, or in a message of that kind."""
    if any(change.path and change.path[0] in INSTRUCTIONS for change in diff.changes):
        return True
    items = {id(item): item for change in diff.changes for item in (change.old, change.new) if item}
    for change in diff.changes:
        if len(change.path) > 1 and (around := _message_around(change.path, diff)):
            items[id(around)] = around
    texts = b"\n".join(one.text for one in items.values() if one.piece is None and one.text[:1] == b"{")
    return any(mark in texts for mark in SYSTEM)


def _message_around(path: Path, diff: MemoryDiff) -> Item | None:
    """The message that a value is part of, where it was looked into."""
    for depth in range(len(path) - 1, 0, -1):
        item = diff.inside.get(path[:depth])
        if item and is_message(item, path[:depth]):
            return item
    return None


def memory(pair: Pair, start: int, wanted: str) -> dict[str, Any]:
    """The panel of the memory; `start` is how many entries the reader has seen."""
    diff = pair.memory
    size = phrasing.size(pair.new.memory_length)
    if not isinstance(diff, MemoryDiff):
        return {"size": size, "damaged": str(diff)}
    try:
        planned = sections.plans(diff)
        if wanted:
            planned = [plan for plan in (_filtered(plan, wanted) for plan in planned) if plan.entries]
        shown, left = _window(planned, start)
        return {
            "size": size, "sections": _drawn(pair, shown), "left": left, "complete": diff.complete,
            "is_none": pair.old.memory is None and pair.new.memory is None,
            "keys": "" if wanted or start else _other_keys(pair, diff),
            "more": f"{address(pair)}?{urlencode({'from': start + SHOWN, 'q': wanted})}" if left else "",
            "figures": _figures(planned), "start": start,
        }  # fmt: skip
    except UNREADABLE as error:
        return {"size": size, "damaged": str(error)}


def workspace(pair: Pair, wanted: str) -> dict[str, Any]:
    diff = pair.workspace
    if not isinstance(diff, WorkspaceDiff):
        return {"damaged": str(diff)}
    try:
        tree = files.tree(pair, diff, wanted)
    except UNREADABLE as error:
        return {"damaged": str(error)}
    changed = len({change.path for change in diff.changes if change.new is not None})
    unchanged = max(0, pair.new.files - changed)
    return {
        "tree": tree, "complete": diff.complete, "changed": len(diff.changes),
        "unchanged": unchanged, "all": unchanged + len(diff.changes),
        "is_none": pair.old.workspace is None and pair.new.workspace is None,
    }  # fmt: skip


def stretch(pair: Pair, at: Path, place: int, was: int, count: int) -> list[Row | Fold]:
    """Items of a list that stayed, the middle of many folded again."""
    root = pair.root("memory", old=False)
    container = places.value(root, at, pair.fetch) if root is not None else None
    if container is None:
        return []
    parts = [(0, count)] if count <= STRETCH else [(0, ENDS), (count - ENDS, count)]
    shown: list[Row | Fold] = []
    for start, end in parts:
        if start:
            middle = Kept(was + ENDS, place + ENDS, count - 2 * ENDS)
            shown.append(_fold(pair, at, middle, "item"))
        found = places.stretch(container, place + start, place + end, pair.fetch)
        changes = [
            Change("same", (*at, place + start + n), item, item, (*at, was + start + n))  # type: ignore[arg-type]
            for n, item in enumerate(found)
        ]
        texts = rows.loaded(changes, pair.fetch)
        shown += [rows.drawn(change, len(at), texts) for change in changes]
    return shown


def one(pair: Pair, at: Path | None, was: Path | None, *, mask: bool) -> Row | None:
    """One place of both memories, with room."""
    old, new = pair.root("memory", old=True), pair.root("memory", old=False)
    before = places.value(old, was, pair.fetch) if old and was is not None else None
    after = places.value(new, at, pair.fetch) if new and at is not None else None
    path = at if at is not None else was
    if path is None or (before is None and after is None):
        return None
    op = "add" if before is None else "remove" if after is None else "change"
    if before is not None and after is not None and before.mark == after.mark:
        op = "same" if at == was else "move"
    change = Change(op, path, before, after, was)  # type: ignore[arg-type]
    depth = next((n for n, step in enumerate(path) if isinstance(step, int)), max(0, len(path) - 1))
    return rows.drawn(change, depth, rows.loaded([change], pair.fetch, rows.ROOMY), rows.ROOMY, mask=mask)


def _window(planned: list[Plan], start: int) -> tuple[list[Plan], int]:
    """The entries that are shown, and how many follow."""
    shown, skip, room = [], start, SHOWN
    total = sum(len(plan.entries) for plan in planned)
    for plan in planned:
        part = plan.entries[skip : skip + room]
        skip = max(0, skip - len(plan.entries))
        room -= len(part)
        if part:
            shown.append(Plan(plan.path, part, plan.figures, plan.noun, plan.was))
    return shown, max(0, total - start - SHOWN)


def _drawn(pair: Pair, planned: list[Plan]) -> list[Section]:
    planned = [replace(plan, entries=list(_unfolded(plan.entries))) for plan in planned]
    changes = [entry for plan in planned for entry in plan.entries if isinstance(entry, Change)]
    texts = rows.loaded(changes, pair.fetch)
    return [Section(plan.title, plan.figures, list(_entries(pair, plan, texts))) for plan in planned]


def _unfolded(entries: Iterable[Change | Kept | Rest]) -> Iterator[Change | Kept | Rest]:
    """What was not looked into is, now that it is shown."""
    for entry in entries:
        if not isinstance(entry, Change) or not is_folded(entry):
            yield entry
            continue
        inner = opened(entry)
        yield from inner[:INNER]
        if len(inner) > INNER:
            yield Rest(entry, len(inner) - INNER)


def _entries(pair: Pair, plan: Plan, texts: rows.Texts) -> Iterator[Row | Fold]:
    for entry in plan.entries:
        if isinstance(entry, Kept):
            yield _fold(pair, plan.path, entry, plan.noun)
        elif isinstance(entry, Rest):
            yield _rest(pair, entry)
        else:
            yield rows.drawn(entry, len(plan.path), texts)


def _rest(pair: Pair, rest: Rest) -> Fold:
    change = rest.of
    query = paths.query(change.path, change.was if change.was is not None else change.path)
    said = f"{phrasing.some(rest.count, 'more value')} changed in {paths.words(change.path)[:200]}"
    return Fold(said, f"{address(pair)}value/{query}" if query else "")


def _fold(pair: Pair, at: Path, kept: Kept, noun: str) -> Fold:
    said = paths.written(at)
    pairs = {"at": said, "place": kept.at, "was": kept.was, "count": kept.count}
    href = f"{address(pair)}items/?{urlencode(pairs)}" if said else ""
    return Fold(sections.kept_words(kept, noun), href)


def _filtered(plan: Plan, wanted: str) -> Plan:
    """The changes that have the text in their path or in a value that is at hand."""
    small, entries = wanted.lower(), []
    for entry in plan.entries:
        if isinstance(entry, Change):
            texts = [item.text for item in (entry.old, entry.new) if item and not item.piece]
            said = paths.words(entry.path) + " " + b" ".join(texts).decode("utf-8", "replace")
            if small in said.lower():
                entries.append(entry)
    return Plan(plan.path, [*entries], plan.figures, plan.noun, plan.was)


def _figures(planned: list[Plan]) -> list[tuple[str, str]]:
    """Messages that went and came, and values, of the whole memory."""
    gone = come = values = 0
    for plan in planned:
        for entry in plan.entries:
            if not isinstance(entry, Change):
                continue
            is_whole = plan.noun == "message" and len(entry.path) == len(plan.path) + 1
            gone += is_whole and entry.op == "remove"
            come += is_whole and entry.op == "add"
            values += entry.op == "change" or not is_whole
    said = [(phrasing.signed(-gone), "del")] if gone else []
    said += [(phrasing.signed(come), "add")] if come else []
    if said:
        said.append(("message" if gone + come == 1 else "messages", ""))
        said[-1] = (said[-1][0] + ("," if values else ""), "")
    return said + ([(phrasing.some(values, "value"), "")] if values else [])


def _other_keys(pair: Pair, diff: MemoryDiff) -> str:
    """The keys at the top that are the same in both."""
    root, sizes = pair.root("memory", old=False), diff.sizes.get(())
    if root is None or (sizes is not None and sizes.new > KEYS):
        return ""
    changed = {change.path[0] for change in diff.changes if change.path}
    found = [value_of(name) for name in places.names(root, pair.fetch, KEYS)]
    kept = [str(name) for name in found if name not in changed]
    if not kept:
        return ""
    named = ", ".join(name[:40] for name in kept[:KEYS_NAMED])
    more = f" and {len(kept) - KEYS_NAMED:,} more" if len(kept) > KEYS_NAMED else ""
    other = "other " if changed else ""
    return f"{len(kept):,} {other}{'key' if len(kept) == 1 else 'keys'} unchanged: {named}{more}"
