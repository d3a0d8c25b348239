"""What one entry shows: a line of the timeline, and what unfolds below it.

Bodies are the agents' own words in any shape; nothing here trusts one. An action and the failure it ended
with are two events; a reader sees one line, the failure's, with what the action was given.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from agents.models import Entry, Kind
from agents.queries import timeline
from dashboard import phrasing
from dashboard.contexts.values import line_of, recorded

LOUD = frozenset({Kind.FAILURE, Kind.PAUSE, Kind.DECISION})
SHORT = 28
PAIRS = 16
NAME_SHOWN = 14
GIST = 80
SAYS_NOTHING = frozenset({"", "ok", "cancelled", "interrupted", "already"})
OWN: dict[str, tuple[tuple[str, str], ...]] = {
    Kind.DECISION: (("Reason", "reason"), ("Guidance", "guidance"), ("By", "by")),
    Kind.COMMAND: (("Reason", "reason"),),
    Kind.PAUSE: (("In flight", "in_flight"),),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line; `with_action` is the action that a failure ended."""

    entry: Entry
    body: Mapping[str, Any]
    with_action: Entry | None
    outcome: str
    took: str

    @property
    def loud(self) -> bool:
        return self.entry.kind in LOUD

    @property
    def title(self) -> str:
        """What happened, without the name that stands beside it; of what went well, what came of what."""
        entry, said = self.entry, _after_name(self.entry)
        if said is None:
            return entry.title or entry.name
        if entry.kind == Kind.ACTION and (self._went_well or said.lower() in SAYS_NOTHING):
            gist = [line_of(recorded(self.body.get(name)), GIST) for name in ("input", "output")]
            return " → ".join(part for part in gist if part) or said
        return said

    @property
    def ordinary(self) -> bool:
        """A success that went without saying: no words of its own, no verifier to mend, nothing outside."""
        return self._went_well and not self.body.get("external") and _after_name(self.entry) is not None

    @property
    def _went_well(self) -> bool:
        entry = self.entry
        return entry.kind == Kind.ACTION and entry.outcome == "ok" and entry.verdict in ("", "pass")

    @property
    def ids(self) -> set[str]:
        return {self.entry.id} | ({self.with_action.id} if self.with_action else set())

    @property
    def short_id(self) -> str:
        return f"{self.entry.id[:8]}-{self.entry.seq}" if self.entry.seq else self.entry.id[:8]


@dataclass(frozen=True, slots=True)
class Part:
    """A labelled value of an open entry: pairs, or text as a figure, as prose or as code."""

    label: str
    text: str = ""
    look: str = "code"
    pairs: tuple[tuple[str, str], ...] = ()
    note: str = ""
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Opened:
    """An open entry: its values side by side, then what is long, then small facts."""

    parts: list[Part]
    long: list[Part]
    facts: list[tuple[str, str]]


def _after_name(entry: Entry) -> str | None:
    """What a title says after the action's name, as the SDK writes it; None for a title of other words."""
    rest = entry.title.removeprefix(entry.name)
    if not entry.name or len(rest) == len(entry.title) or rest[:1] not in ("", " ", ":"):
        return None
    words = rest.removeprefix(":").strip()
    return words[:1].upper() + words[1:] if rest.startswith(":") else words


def lines(entries: Iterable[Entry], actions: Mapping[str, Entry]) -> list[Line]:
    """The lines of a page, newest first; the action of a failure goes into the failure's line."""
    made: list[Line] = []
    for entry in entries:
        above = made[-1].entry if made else None
        if entry.kind == Kind.ACTION and above and timeline.couple(above, entry):
            made[-1] = line(above, entry)
        else:
            made.append(line(entry, actions.get(entry.id)))
    return made


def line(entry: Entry, with_action: Entry | None = None) -> Line:
    body = read(entry.body)
    lasted = seconds(body) if with_action is None else seconds(read(with_action.body))
    took = phrasing.took(lasted) if lasted is not None else ""
    return Line(entry, body, with_action, _outcome(entry, body), took)


def read(text: str) -> Mapping[str, Any]:
    """The body, or nothing when it is none."""
    try:
        body = orjson.loads(text)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def seconds(body: Mapping[str, Any]) -> float | None:
    """How long it took, where a sane number says so."""
    took = body.get("took_ms")
    if isinstance(took, bool) or not isinstance(took, int | float) or not 0 <= took < 1e12:
        return None
    return took / 1000


def opened(line: Line) -> Opened:
    """What unfolds: of a failure with its action, what the action was given beside what the failure says."""
    action = read(line.with_action.body) if line.with_action else line.body
    actual = _actual(line, action)
    parts = [part("Input", action.get("input")), _expected(line.body, action), actual]
    if actual is None:
        parts += [_error(action), part("Why", _first(line.body, action, "why"), prose=True)]
    parts.append(part("Output", action.get("output")))
    parts += [part(label, line.body.get(name), prose=True) for label, name in OWN.get(line.entry.kind, ())]
    trace = part("Trace", _mapping(action.get("error")).get("trace"))
    return Opened([p for p in parts if p is not None], [trace] if trace else [], _facts(line, action))


def part(label: str, value: Any, *, prose: bool = False, note: str = "", tone: str = "") -> Part | None:
    """A value in the shape that reads best; None for nothing."""
    if value is None or value == "":
        return None
    cut = _cut(value)
    if cut:
        return Part(label, cut[0], note=cut[1], tone=tone)
    if isinstance(value, str):
        look = (
            "figure" if prose and len(value) <= SHORT and "\n" not in value else "prose" if prose else "code"
        )
        return Part(label, value, look, note=note, tone=tone)
    if isinstance(value, dict) and 0 < len(value) <= PAIRS and all(_scalar(v) for v in value.values()):
        return Part(label, pairs=tuple((str(k), _word(v)) for k, v in value.items()), note=note, tone=tone)
    if _scalar(value):
        return Part(label, _word(value), "figure" if prose else "code", note=note, tone=tone)
    return Part(label, json.dumps(value, indent=2, ensure_ascii=False), note=note, tone=tone)


def _expected(body: Mapping[str, Any], action: Mapping[str, Any]) -> Part | None:
    """The value that was expected; the sentence that the developer wrote stands below it."""
    value, sentence = body.get("expected"), action.get("expected")
    if value in (None, ""):
        value = sentence
    note = sentence if isinstance(sentence, str) and sentence != value else ""
    return part("Expected", value, prose=True, note=note)


def _actual(line: Line, action: Mapping[str, Any]) -> Part | None:
    """What came instead, for failures; their message where no value says it."""
    if line.entry.kind != Kind.FAILURE:
        return None
    said = [line.body.get("actual"), line.body.get("message"), _first(line.body, action, "why")]
    there = [value for value in said if value not in (None, "")]
    if not there:
        return _error(action)
    note = next((value for value in there[1:] if isinstance(value, str) and value != there[0]), "")
    return part("Actual", there[0], prose=True, note=note, tone="bad")


def _error(action: Mapping[str, Any]) -> Part | None:
    error = _mapping(action.get("error"))
    kind, said = error.get("type"), error.get("message")
    note = kind if isinstance(kind, str) and said not in (None, "") else ""
    return part("Error", kind if said in (None, "") else said, prose=True, note=note, tone="bad")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _outcome(entry: Entry, body: Mapping[str, Any]) -> str:
    """The mark's name (dashboard/marks.py), or words where a mark says too little."""
    if entry.kind == Kind.FAILURE:
        streak = body.get("consecutive")
        counted = isinstance(streak, int) and not isinstance(streak, bool) and streak > 0
        return f"{streak} in a row" if counted else entry.outcome or "none"
    if entry.kind == Kind.ACTION:
        if entry.outcome == "failed" and body.get("transient") is True:
            return "transient"
        if entry.verdict and entry.outcome in ("ok", "failed", ""):
            return entry.verdict
        return "" if entry.outcome == "ok" else entry.outcome
    if entry.kind == Kind.RUN:
        return entry.name
    return entry.verdict or entry.outcome or "none"


def _facts(line: Line, action: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = [("name", line.entry.name)] if len(line.entry.name) > NAME_SHOWN else []
    attempts = action.get("attempts")
    if isinstance(attempts, int) and not isinstance(attempts, bool) and attempts > 1:
        facts.append(("attempts", str(attempts)))
    if isinstance(action.get("key"), str):
        facts.append(("key", action["key"]))
    if action.get("external") is True:
        facts.append(("reached the outside world", ""))
    if line.entry.kind == Kind.FAILURE and line.entry.outcome:
        facts.append(("kind of failure", line.entry.outcome))
    if line.entry.late:
        facts.append(("arrived late", phrasing.exact(line.entry.received_at)))
    return facts


def _first(body: Mapping[str, Any], action: Mapping[str, Any], name: str) -> Any:
    own = body.get(name)
    return own if own not in (None, "") else action.get(name)


def _cut(value: Any) -> tuple[str, str] | None:
    """A value that its agent shortened: its head, and how long it was."""
    if (
        not isinstance(value, dict)
        or set(value) - {"head", "size", "sha256"}
        or not isinstance(value.get("head"), str)
    ):
        return None
    size = value.get("size")
    if isinstance(size, bool) or not isinstance(size, int):
        return None
    return value["head"] + "…", f"The first part of {size:,} bytes."


def _scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def _word(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value)
