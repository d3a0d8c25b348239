"""Recorded values in one line: what an action was given, what it gave back.

They are the agents' own, in any shape and of any size; every answer here is plain text with a bound.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

FIGURE = 40
MEMBERS = 4


def line_of(value: Any, limit: int = 120) -> str:
    """A short reading: `order 8841, amount 1200` for an object, the text itself for text."""
    if isinstance(value, Mapping):
        if isinstance(value.get("head"), str) and "size" in value:
            return cut(value["head"], limit)
        members = [f"{key} {_short(member)}" for key, member in value.items() if _plain(member)]
        return cut(", ".join(members[:MEMBERS]), limit)
    if isinstance(value, list):
        return cut(", ".join(line_of(member, limit) for member in value[:MEMBERS]), limit)
    return cut(_short(value), limit)


def text_of(value: Any, limit: int = 2_000) -> str:
    """The whole value as text: itself, or as JSON."""
    if value is None:
        return ""
    if isinstance(value, Mapping) and isinstance(value.get("head"), str) and "size" in value:
        return cut(value["head"], limit)
    if isinstance(value, str):
        return cut(value, limit)
    return cut(json.dumps(value, ensure_ascii=False), limit)


def recorded(value: Any) -> Any:
    """The value itself where the agent recorded it as JSON in a text: `"40.00 €"` is 40.00 €."""
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"':
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def cut(text: str, limit: int) -> str:
    text = text if len(text) > limit else text.strip()
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def is_long(*texts: str) -> bool:
    """Whether any is code or prose to read, not one figure to compare at a glance."""
    return any(len(text) > FIGURE or "\n" in text for text in texts)


def is_sentence(text: str) -> bool:
    """Whether it is said in words, as developers write `expected=`, and no value."""
    return sum(word.isalpha() for word in text.split()) >= 3


def _plain(value: Any) -> bool:
    return value is not None and not isinstance(value, Mapping | list)


def _short(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
