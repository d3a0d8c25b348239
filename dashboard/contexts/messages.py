"""Messages in a memory, in the shapes that model providers and frameworks give them: who, what, when."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dashboard import phrasing

KINDS = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool", "function": "tool"}
BODIES = ("content", "text", "parts", "tool_calls")
TIMES = ("at", "time", "timestamp", "created_at", "created", "ts", "date")
FIRST, LAST = 946_684_800, 4_102_444_800  # the years 2000 to 2100


@dataclass(frozen=True, slots=True)
class Message:
    role: str
    text: str
    code: bool
    at: str


def read(value: Any) -> Message | None:
    """The message that this value is, if it is one."""
    if not isinstance(value, Mapping):
        return None
    inner = value.get("kwargs")
    if isinstance(inner, Mapping) and isinstance(value.get("id"), list):
        value = {
            "type": str(value["id"][-1]).removesuffix("Message").removesuffix("MessageChunk").lower(),
            **inner,
        }
    said = value.get("role")
    role = said if isinstance(said, str) else KINDS.get(str(value.get("type")), "")
    if not role or not any(name in value for name in BODIES):
        return None
    calls = [*_calls(value.get("tool_calls")), *_calls(value.get("content"))]
    text = _text(next((value[name] for name in BODIES[:3] if value.get(name)), ""))
    if calls and not text:
        return Message("tool call", "; ".join(calls), True, _time(value))
    return Message(role[:40], " ".join([text, *calls]) if calls else text, False, _time(value))


def _text(content: Any) -> str:
    """The text of a content: itself, or its blocks', one after the other."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(filter(None, map(_block, content)))
    return "" if content is None else json.dumps(content, ensure_ascii=False)


def _block(block: Any) -> str:
    if not isinstance(block, Mapping):
        return block if isinstance(block, str) else json.dumps(block, ensure_ascii=False)
    if block.get("type") == "tool_use":
        return ""
    for name in ("text", "content"):
        if name in block:
            return _text(block[name])
    return json.dumps(block, ensure_ascii=False)


def _calls(listed: Any) -> list[str]:
    """`issue_refund {"order": 8841}` for each call of a tool."""
    found = []
    for call in listed if isinstance(listed, list) else []:
        if not isinstance(call, Mapping) or call.get("type") not in (
            None,
            "function",
            "tool_use",
            "tool_call",
        ):
            continue
        inner = call.get("function")
        named: Mapping[str, Any] = inner if isinstance(inner, Mapping) else call
        name = named.get("name")
        if isinstance(name, str):
            given = next((named[key] for key in ("arguments", "input", "args") if key in named), "")
            words = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
            found.append(f"{name} {words}".strip())
    return found


def _time(value: Mapping[str, Any]) -> str:
    """The time that the message says it is from, where a sane one is there."""
    for name in TIMES:
        said = value.get(name)
        try:
            if isinstance(said, str) and len(said) < 40:
                at = datetime.fromisoformat(said)
                return phrasing.clock(at if at.tzinfo else at.replace(tzinfo=UTC))
            if isinstance(said, int | float) and not isinstance(said, bool):
                seconds = said / 1000 if said > LAST else said
                if FIRST < seconds < LAST:
                    return phrasing.clock(datetime.fromtimestamp(seconds, UTC))
        except (ValueError, OverflowError):
            continue
    return ""
