"""The differences of two memories in the order of the document: a section for each list, object and text.

A list is walked through on both sides at once, so that what stayed folds with its shift: places 4 to 40
became 3 to 39. Nothing is loaded here; rows.py draws the part of a plan that is shown.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from checkpoints.diffs.items import Path
from checkpoints.diffs.memory import Change, MemoryDiff, Sizes
from checkpoints.diffs.summary import is_message
from dashboard import phrasing
from dashboard.contexts.comparing import paths


@dataclass(frozen=True, slots=True)
class Kept:
    """Items that stayed: so many, from these places of the old and the new list."""

    was: int
    at: int
    count: int


@dataclass(frozen=True, slots=True)
class Rest:
    """So many changes of one item that are not drawn."""

    of: Change
    count: int


@dataclass(slots=True)
class Plan:
    """`figures` are counts in words with their tone."""

    path: Path
    entries: list[Change | Kept | Rest] = field(default_factory=list)
    figures: list[tuple[str, str]] = field(default_factory=list)
    noun: str = "item"
    was: Path = ()

    @property
    def title(self) -> str:
        return paths.words(self.path)[:200] or "memory"


def plans(diff: MemoryDiff) -> list[Plan]:
    """What there is to be shown, by section."""
    lists: dict[Path, list[Change]] = {}
    objects: dict[Path, Plan] = {}
    order: dict[tuple[bool, Path], None] = {}
    for change in diff.changes:
        depth = _depth(change.path)
        key = change.path[:depth] if depth is not None else change.path[:-1]
        order[(depth is not None, key)] = None
        if depth is not None:
            lists.setdefault(key, []).append(change)
        else:
            objects.setdefault(key, Plan(key)).entries.append(change)
    for key, plan in objects.items():
        plan.figures = _of_object(plan, diff.sizes.get(key))
    return [_list(key, lists[key], diff) if is_list else objects[key] for is_list, key in order]


def _depth(path: Path) -> int | None:
    """Where the first list is that the path leads through."""
    return next((n for n, step in enumerate(path) if isinstance(step, int)), None)


def _of_object(plan: Plan, sizes: Sizes | None) -> list[tuple[str, str]]:
    changed = len({entry.path for entry in plan.entries if isinstance(entry, Change)})
    of = f"{changed:,} of {phrasing.some(sizes.new, 'key')}" if sizes else phrasing.some(changed, "key")
    return [(f"{of} changed", "")]


def _list(path: Path, changes: list[Change], diff: MemoryDiff) -> Plan:
    depth, sizes = len(path), diff.sizes.get(path)
    message = any(is_message(change.new or change.old, change.path[: depth + 1]) for change in changes)
    message = message or any(is_message(item, at) for at, item in diff.inside.items() if at[:-1] == path)
    plan = Plan(path, noun="message" if message else "item", was=sizes.was if sizes else path)
    walked = _Walk(changes, depth)
    plan.entries = list(walked.entries(sizes)) if sizes and diff.complete else list(changes)
    plan.figures = _of_list(plan, walked, sizes)
    return plan


class _Walk:
    """Both sides of a list: what is gone, come, moved, and changed, by place."""

    def __init__(self, changes: list[Change], depth: int) -> None:
        self.gone: dict[int, Change] = {}
        self.come: dict[int, Change] = {}
        self.moved_from: set[int] = set()
        self.moved_to: dict[int, Change] = {}
        self.changed: dict[int, list[Change]] = {}
        self.pairs: dict[int, int] = {}
        for change in changes:
            at = _step(change.path, depth)
            was = _step(change.was if change.was is not None else change.path, depth)
            if len(change.path) > depth + 1 or change.op == "change":
                self.changed.setdefault(at, []).append(change)
                self.pairs.setdefault(was, at)
            elif change.op == "remove":
                self.gone[at] = change
            elif change.op == "add":
                self.come[at] = change
            else:
                self.moved_from.add(was)
                self.moved_to[at] = change

    def entries(self, sizes: Sizes) -> Iterator[Change | Kept]:
        olds = sorted({*self.gone, *self.moved_from, *self.pairs, sizes.old})
        news = sorted({*self.come, *self.moved_to, *self.changed, sizes.new})
        i = j = 0
        while i < sizes.old or j < sizes.new:
            if i in self.gone:
                yield self.gone[i]
                i += 1
            elif i in self.moved_from:
                i += 1
            elif j in self.come or j in self.moved_to:
                yield self.come.get(j) or self.moved_to[j]
                j += 1
            elif j in self.changed:
                yield from self.changed[j]
                i, j = i + 1, j + 1
            else:
                step = min(_next(olds, i), _next(news, j))
                if step < 1:
                    return
                yield Kept(i, j, step)
                i, j = i + step, j + step


def _step(path: Path, depth: int) -> int:
    step = path[depth] if depth < len(path) else 0
    return step if isinstance(step, int) else 0


def _next(places: list[int], at: int) -> int:
    found = bisect_left(places, at)
    return places[found] - at if found < len(places) else 0


def _of_list(plan: Plan, walked: _Walk, sizes: Sizes | None) -> list[tuple[str, str]]:
    figures = (
        [(f"{sizes.old:,} to {sizes.new:,}:" if sizes.old != sizes.new else f"{sizes.new:,}:", "")]
        if sizes
        else []
    )
    counts = (
        (len(walked.gone), "deleted", "del"), (len(walked.come), "added", "add"),
        (len(walked.changed), "changed", ""), (len(walked.moved_to), "moved", ""),
    )  # fmt: skip
    figures += [(f"{count:,} {word}", tone) for count, word, tone in counts if count]
    shifted = [entry for entry in plan.entries if isinstance(entry, Kept) and entry.was != entry.at]
    if shifted:
        by = {entry.at - entry.was for entry in shifted}
        count = sum(entry.count for entry in shifted)
        how = f" {'down' if min(by) > 0 else 'up'} by {abs(min(by)):,}" if len(by) == 1 else ""
        figures.append((f"{count:,} only moved{how}", ""))
    return figures


def kept_words(kept: Kept, noun: str) -> str:
    """`37 messages unchanged, places 4 to 40 became 3 to 39`."""
    here = f"{phrasing.some(kept.count, noun)} unchanged"
    before, after = _range(kept.was, kept.count), _range(kept.at, kept.count)
    place = "place" if kept.count == 1 else "places"
    return f"{here}, {place} {before}" + (f" became {after}" if before != after else "")


def _range(start: int, count: int) -> str:
    return f"{start:,}" if count == 1 else f"{start:,} to {start + count - 1:,}"
