"""What JSON would change in silence, found by its path.

A tuple becomes a list, a set nothing at all, an int key a string: after a restore the program would meet
other values than it left, and nobody would know why.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

DEPTH = 200
DIGITS = 4300
_TOO_BIG = 10**DIGITS


class Unspeakable(ValueError):
    """JSON would change this in silence."""

    def __init__(self, path: str, sentence: str) -> None:
        super().__init__(f"{path} {sentence}")
        self.path, self.sentence = path, sentence


def faults_in(value: Any, path: str = "memory", depth: int = 0) -> Iterator[Unspeakable]:
    """What JSON would change in silence, depth first; `depth` counts the containers around the value."""
    if not _is_plain(value, depth):
        yield from _walk(value, path, depth)


def joined(text: str) -> str:
    """The text with surrogate pairs that are held as two code units made one character."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


_NUMBERS = {int, float}
_BOXES = {list, dict}
_SIMPLE = {str, bool, type(None)}
_KNOWN = _SIMPLE | _NUMBERS | _BOXES


def _is_plain(value: Any, depth: int) -> bool:
    """Whether there is surely no fault: a few steps of Python for each container, none for each string."""
    boxes = [([value], depth - 1)]
    while boxes:
        box, depth = boxes.pop()
        kinds = set(map(type, box))
        if kinds <= _SIMPLE:
            continue
        if not kinds <= _KNOWN or not (kinds.isdisjoint(_NUMBERS) or _are_finite(box)):
            return False
        if kinds.isdisjoint(_BOXES):
            continue
        depth += 1
        inner = [item for item in box if type(item) in _BOXES]
        if depth >= DEPTH or not all(_has_plain_keys(item) for item in inner if type(item) is dict):
            return False
        boxes += [(item if type(item) is list else list(item.values()), depth) for item in inner]
    return True


def _are_finite(box: list[Any]) -> bool:
    try:
        return all(map(math.isfinite, [item for item in box if type(item) in _NUMBERS]))
    except OverflowError:
        return False


def _has_plain_keys(box: dict[Any, Any]) -> bool:
    return set(map(type, box)) <= {str} and _is_utf8("".join(box))


def _walk(value: Any, path: str, depth: int) -> Iterator[Unspeakable]:
    todo = [(value, path, depth)]
    while todo:
        value, path, depth = todo.pop()
        kind = type(value)
        sentence = _sentence(value, depth)
        if sentence is not None:
            yield Unspeakable(path, sentence)
        elif kind is dict:
            yield from _faults_of_keys(value, path)
            inner = [(item, _below(path, key), depth + 1) for key, item in list(value.items())]
            todo += reversed(inner)
        elif kind is list:
            todo += [(value[at], f"{path}[{at}]", depth + 1) for at in reversed(range(len(value)))]


def _sentence(value: Any, depth: int) -> str | None:
    kind = type(value)
    if kind in _BOXES:
        deep = depth >= DEPTH
        return f"is nested more than {DEPTH} deep: keep the deep part in the workspace" if deep else None
    if kind is float and not math.isfinite(value):
        return f"is {value}: JSON has no such number, write None or a string"
    if kind is int and not -_TOO_BIG < value < _TOO_BIG:
        return f"is an int of more than {DIGITS} digits: few readers of JSON take it, write hex(…)"
    if kind in _KNOWN:
        return None
    return f"is {_article(kind.__name__)}: {_ADVICE.get(kind.__name__, _OTHERWISE)}"


def _faults_of_keys(box: dict[Any, Any], path: str) -> Iterator[Unspeakable]:
    seen: set[str] = set()
    for key in list(box):
        if type(key) is not str:
            sentence = f"has {_article(type(key).__name__)} as its key: JSON keys are strings, write str(key)"
            yield Unspeakable(_below(path, key), sentence)
        elif joined(key) in seen:
            yield Unspeakable(_below(path, key), "is there twice once surrogate pairs are joined: keep one")
        else:
            seen.add(joined(key))


def _below(path: str, key: object) -> str:
    return f"{path}[{key!r:.60}]"


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _article(noun: str) -> str:
    return f"{'an' if noun[:1] in 'aeiouAEIO' else 'a'} {noun}"


_OTHERWISE = "keep plain dicts, lists, strings and numbers, or pass memory=Memory(save=…, load=…)"
_ADVICE = {
    "tuple": "JSON would bring back a list, write a list",
    "set": "JSON has no sets, write sorted(…) or a list",
    "frozenset": "JSON has no sets, write sorted(…) or a list",
    "bytes": "JSON has no bytes, write base64.b64encode(…).decode()",
    "bytearray": "JSON has no bytes, write base64.b64encode(…).decode()",
    "datetime": "write its .isoformat()",
    "date": "write its .isoformat()",
    "Decimal": "write str(…)",
    "UUID": "write str(…)",
}
