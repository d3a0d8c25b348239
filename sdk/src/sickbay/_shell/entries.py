"""Entries of a timeline: named by their id, in a line, or whole."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

from sickbay._errors import BadArgument
from sickbay._operator import Operator
from sickbay._shell import phrasing, told
from sickbay._shell.terminal import Screen, Span
from sickbay._wire import Refused

# A run's with its number, or the server's own, whose version is 7.
ID = re.compile(r"[0-9a-f]{32}-[0-9]{1,18}|[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
OUTCOMES = {"failed": "red", "error": "red", "fail": "red", "pass": "green", "verified": "green"}
LONGEST, MOST_LINES = 20_000, 1_000


def named(operator: Operator, id: str) -> told.Entry | None:
    """The entry of this id; None when it is none, or may be a checkpoint's."""
    if not ID.fullmatch(id):
        return None
    try:
        return operator.get(f"entries/{quote(id, safe='')}/", told.Entry)
    except Refused as refused:
        if refused.status != 404:
            raise
    if len(id) > 32 and id[32] == "-":
        raise BadArgument(f"{id} is no entry and no checkpoint of this token's project")
    return None


def marks(entry: told.Entry) -> list[Span]:
    """How it ended."""
    words = [word for word in (entry.outcome, entry.verdict) if word]
    return [span for word in words for span in (" ", (word, OUTCOMES.get(word, "")))]


def line(screen: Screen, entry: told.Entry) -> None:
    """One line that begins with the id, so that it can be copied or cut out."""
    head = (entry.id, "yellow")
    screen.line(
        head, " ", phrasing.stamp(entry.at), f" {entry.kind}", *marks(entry), " ", entry.title or entry.name
    )


def show(screen: Screen, entry: told.Entry) -> None:
    """All of it, as far as a person reads."""
    screen.line((f"{entry.kind} {entry.id}", "yellow"), *marks(entry))
    rows = [("Agent", entry.agent), ("Date", phrasing.date(entry.at)), ("Name", entry.name)]
    if entry.ref and entry.kind == "checkpoint":
        rows.append(("Checkpoint", entry.ref))
    for name, said in rows:
        if said:
            screen.line(f"{name + ':':<12}", said)
    if entry.title and entry.title != entry.name:
        screen.line("")
        screen.line("    ", entry.title)
    body = entry.body if isinstance(entry.body, str) else json.dumps(entry.body, indent=2, ensure_ascii=False)
    if body not in ("", "null", "{}"):
        screen.line("")
        screen.block(_bounded(body))


def _bounded(text: str) -> str:
    kept = "\n".join(text[:LONGEST].split("\n")[:MOST_LINES])
    return text if kept == text else f"{kept}…\n(the first {len(kept):,} of {len(text):,} characters)"
