"""A changed value of a memory beside its place, on one line; a long text by its lines."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from typing import Any

from sickbay._operator import Operator
from sickbay._shell.terminal import Span
from sickbay._shell.told import ValueChange

MASK = "••••••••"
WIDEST, LONGEST, MOST_LINES = 160, 20_000, 2_000


def beside(one: ValueChange, *, full: bool = False) -> list[Span]:
    """What stands behind the place: the old value, the new one, or both."""
    if _by_lines(one):
        return []
    old = one.old_not_shown or _said(one.old, full=full)
    new = one.new_not_shown or _said(one.new, full=full)
    if one.op == "add":
        return [" ", (new, "green")]
    if one.op == "remove":
        return [" ", (old, "red")]
    if one.op == "move":
        return [" ", (new, "dim")]
    return [" ", (old, "red"), " → ", (new, "green")]


def lines(one: ValueChange) -> Iterator[tuple[str, str]]:
    """Of a changed text of several lines: `-` and what went, `+` and what came, ` ` and what is around."""
    if not _by_lines(one):
        return
    before, after = one.old.splitlines()[:MOST_LINES], one.new.splitlines()[:MOST_LINES]
    for line in list(difflib.unified_diff(before, after, lineterm="", n=1))[2:]:
        if not line.startswith("@@"):
            yield line[:1], line[1:]


def reveal(operator: Operator, old: str, new: str, changes: list[ValueChange]) -> None:
    """Put what is masked in them in full; the server writes down each place that is looked at."""
    for one in changes:
        if one.op != "add" and MASK in _said(one.old, full=True):
            one.old = _value(operator, old, one.path if one.was is None else one.was)
        if one.op != "remove" and MASK in _said(one.new, full=True):
            one.new = _value(operator, new, one.path)


def _value(operator: Operator, checkpoint: str, path: list[str | int]) -> Any:
    return json.loads(operator.memory(checkpoint, json.dumps(path), reveal=True).data)


def _by_lines(one: ValueChange) -> bool:
    texts = (one.old, one.new)
    return one.op == "change" and all(isinstance(text, str) and "\n" in text for text in texts)


def _said(value: Any, *, full: bool) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = "(a value that cannot be shown)"
    widest = LONGEST if full else WIDEST
    return text if len(text) <= widest else f"{text[:widest]}… ({len(text):,} characters)"
