"""One event, one line of JSON: serialised once, and those bytes are what is spooled, sent and resent.

orjson does it in a microsecond. What it refuses (integers beyond 64 bits, lone surrogates, keys that are no
text, depth, cycles, foreign objects) goes through a slower door that always gives a line; NaN and the
infinities become null. A line over the limit keeps its facts and loses the middle of its values.
"""

from __future__ import annotations

import math
from typing import Any

import orjson

LINE_LIMIT = 64 * 1024
VALUE_LIMIT = 4 * 1024
DEPTH = 40
NODES = 5_000
BIG = 2**63


def dumps(value: Any) -> bytes:
    """JSON for any value whatever; never raises."""
    try:
        return orjson.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return orjson.dumps(_plain(value, DEPTH, [NODES]))


def line(event: dict[str, Any]) -> bytes:
    """The event as one line, without its newline, within the limit."""
    try:
        text = orjson.dumps(event)
    except (TypeError, ValueError, RecursionError):
        text = dumps(event)
    if len(text) <= LINE_LIMIT:
        return text
    return dumps({key: _short(value) for key, value in list(event.items())[:64]})


def _short(value: Any) -> Any:
    """The value itself when small, else its head and its size; 64 of them always fit into a line."""
    value = _unfolded(value) if isinstance(value, orjson.Fragment) else value
    text = dumps(value)
    if len(text) <= VALUE_LIMIT // 8:
        return value
    head = text[: VALUE_LIMIT // 8].decode("utf-8", "replace")
    return {"head": head, "size": len(text)} if not isinstance(value, str) else head


def _plain(value: Any, depth: int, nodes: list[int]) -> Any:
    """The nearest thing to `value` that JSON can say, at most `depth` deep and `nodes` large."""
    nodes[0] -= 1
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value).encode("utf-8", "replace").decode()
    if isinstance(value, int):
        return int(value) if -BIG <= value < BIG else _digits(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if depth == 0 or nodes[0] <= 0:
        return "…"
    if isinstance(value, orjson.Fragment):
        return _plain(_unfolded(value), depth, nodes)
    if isinstance(value, dict):
        items = list(value.items())[: max(0, nodes[0])]
        return {_key(key): _plain(each, depth - 1, nodes) for key, each in items}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each, depth - 1, nodes) for each in list(value)[: max(0, nodes[0])]]
    return _repr(value)


def _key(key: Any) -> str:
    return key.encode("utf-8", "replace").decode() if isinstance(key, str) else _repr(key)


def _digits(value: int) -> str:
    # str() of an int over 4,300 digits raises; its hexadecimal is linear and always there.
    return str(value) if value.bit_length() < 4096 else f"{hex(value)[:64]}… ({value.bit_length()} bits)"


def _repr(value: Any) -> str:
    try:
        text = repr(value)
    except Exception as error:  # a foreign __repr__ may raise anything
        text = f"<{type(value).__name__}: its repr raised {type(error).__name__}>"
    return text[:VALUE_LIMIT].encode("utf-8", "replace").decode()


def _unfolded(fragment: orjson.Fragment) -> Any:
    text = orjson.dumps(fragment)
    try:
        return orjson.loads(text)
    except ValueError:
        return text[:VALUE_LIMIT].decode("utf-8", "replace")
