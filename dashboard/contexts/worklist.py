"""The worklist: what reached the outside world, which no rollback undoes, and what a human said of each.

Drawn on the incident, before a rollback and beside one, by one partial; exported as it stands.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from agents.models import Effect
from checkpoints import secrets
from checkpoints.api import shown
from dashboard import phrasing, tables
from dashboard.contexts.effects import Answerable, ForMany, answerable, for_many
from dashboard.contexts.values import line_of

COLUMNS = (
    "at", "agent", "instance", "name", "key", "target", "state",
    "answer", "answered_by", "answered_at", "answer_reason", "id",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Worklist:
    """`csv` and `json` are where it is exported; `back` is the address of the page that shows it."""

    lines: list[Answerable]
    in_all: int
    back: str = ""
    csv: str = ""
    json: str = ""
    many: bool = False

    @property
    def more(self) -> int:
        return max(0, self.in_all - len(self.lines))

    @property
    def counted(self) -> str:
        return phrasing.some(self.in_all, "external action")

    @property
    def dealt(self) -> str:
        """`2 of 3 dealt with`."""
        done = sum(1 for line in self.lines if line.effect.answer)
        return f"{done} of {self.in_all:,} dealt with" if self.in_all else ""

    @property
    def accept(self) -> list[ForMany]:
        """Accept all that can be."""
        found = [line for line in self.lines if line.may_be_accepted]
        return for_many(found, accepted=f"Accept all {len(found)}")

    @property
    def holds(self) -> str:
        """What a rollback does about them: nothing, and what holds each."""
        if all(line.effect.key for line in self.lines):
            return "A rollback does not undo these. What is done is not done again: its key is done."
        if any(line.effect.key for line in self.lines):
            return "A rollback does not undo these. What is done and has a key is not done again."
        return "A rollback does not undo these. They have no key, so the agent may do them again."

    @property
    def stays(self) -> str:
        """In a sentence, for what a button does."""
        if not self.in_all:
            return ""
        return f"{self.counted} {'stays' if self.in_all == 1 else 'stay'} done."


def of(effects: Iterable[Effect], in_all: int | None = None, **more: Any) -> Worklist:
    """What may be said of each is contexts/effects'; values are masked once more than the agent did."""
    lines = [replace(one, given=line_of(_masked(one.effect.input))) for one in answerable(effects)]
    many = len({line.effect.instance.agent_id for line in lines}) > 1
    return Worklist(lines, len(lines) if in_all is None else in_all, many=many, **more)


def as_csv(effects: Iterable[Effect]) -> str:
    """One line each under a head; no cell can be read as a formula."""
    return tables.as_csv(COLUMNS, as_rows(effects))


def as_rows(effects: Iterable[Effect]) -> list[dict[str, Any]]:
    """The same as the API shows them, masked again."""
    return [
        {**row, "target": secrets.masked(row["target"] or "") or None} for row in map(shown.effect, effects)
    ]


def _masked(text: str) -> Any:
    """What it was called with, without what looks like a secret."""
    try:
        return secrets.masked_value(json.loads(text))
    except (ValueError, RecursionError):
        return secrets.masked(text)
