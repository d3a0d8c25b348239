"""A check that a person wrote: a place, an operator, a value. Pure rules, and its words.

What is masked on the screen is judged as it is masked, so that nobody learns a secret by guessing at it.
`as_in` alone compares what is stored, with a checkpoint's: it says no more than comparing the two does.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

from sickbay.tree.text import BadText, dump, load

AS_IN = "as_in"
LONGEST_PATH, LONGEST_VALUE = 1_000, 1_000
WORDS = {
    "equals": "equals",
    "is_not": "is not",
    "contains": "contains",
    "exists": "exists",
    "greater": "is greater than",
    "less": "is less than",
    "longer": "is longer than",
    AS_IN: "is as in checkpoint",
}
NUMBERS = frozenset({"greater", "less", "longer"})
MEMORY, FILE = "memory", "file"


class Absent:
    """Nothing stands there."""


ABSENT = Absent()


@dataclass(frozen=True, slots=True)
class Check:
    """`path`: `rates.scale` or `["rates","scale"]` in the memory, or a file's path in the workspace.

    `value` is a checkpoint's id where it is to be as in that one.
    """

    path: str
    op: str
    value: str = ""
    where: str = MEMORY

    @property
    def words(self) -> str:
        """`rates.scale equals 100`, `file notes.md contains order`."""
        place = f"file {self.path}" if self.where == FILE else self.path or "memory"
        value = self.value[:8] if self.op == AS_IN else self.value
        return f"{place} {WORDS[self.op]}" + ("" if self.op == "exists" else f" {value}")


def wrong_with(check: Check) -> str:
    """What is wrong with a check, in a sentence; nothing when it can be judged by."""
    if check.op not in WORDS:
        return f"Choose one of: {', '.join(WORDS)}."
    if check.where not in (MEMORY, FILE):
        return "It looks at the memory, or at a file."
    if check.where == FILE and not check.path:
        return "Say which file."
    if len(check.path) > LONGEST_PATH or len(check.value) > LONGEST_VALUE:
        return f"A path and a value have at most {LONGEST_VALUE:,} characters each."
    if check.op in NUMBERS and number(check.value) is None:
        return f"“{WORDS[check.op]}” needs a number."
    if check.op == AS_IN and checkpoint_in(check.value) is None:
        return "Say which checkpoint: its whole id."
    return ""


def checkpoint_in(text: str) -> uuid.UUID | None:
    """The id that this says."""
    try:
        return uuid.UUID(text.strip())
    except ValueError:
        return None


def number(text: str) -> float | int | None:
    """The number that this says, as JSON spells it."""
    try:
        found = load(text.strip().encode())
    except (BadText, ValueError, RecursionError):
        return None
    return found if _is_number(found) else None


def passes(check: Check, value: Any) -> bool:
    """Whether the value, as it may be shown, passes. What is not there only passes `is not`."""
    if check.op == "exists":
        return not isinstance(value, Absent)
    if isinstance(value, Absent):
        return check.op == "is_not"
    if check.op == "equals":
        return _equal(value, check.value)
    if check.op == "is_not":
        return not _equal(value, check.value)
    if check.op == "contains":
        return _contains(value, check.value)
    if check.op == "longer":
        length = len(value) if isinstance(value, str | list | dict) else 0
        return length > (number(check.value) or 0)
    limit = number(check.value)
    if limit is None or not _is_number(value):
        return False
    return bool(value > limit) if check.op == "greater" else bool(value < limit)


def _equal(value: Any, text: str) -> bool:
    """The text itself, or the JSON that it spells: 1 is not true."""
    if isinstance(value, str) and value == text:
        return True
    try:
        return dump(value) == dump(load(text.encode("utf-8", "surrogatepass")))
    except (BadText, ValueError, RecursionError):
        return False


def _contains(value: Any, text: str) -> bool:
    if isinstance(value, str):
        return text in value
    if isinstance(value, list):
        return any(_equal(item, text) for item in value)
    return text in value if isinstance(value, dict) else text in json.dumps(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
