"""An agent's memory must survive JSON unchanged: what would not is named by its path.

A tuple becomes a list, a set nothing at all, an int key a string: after a restore the program would meet
other values than it left, and nobody would know why.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

DEPTH = 200


@dataclass(frozen=True, slots=True)
class Memory:
    """How to save and load a memory that is no plain dict.

    Args:
        save: called without arguments, returns JSON-able data.
        load: called with what `save` returned, puts it back.

    Example:
        Memory(save=lambda: graph.dump(), load=graph.restore)
    """

    save: Callable[[], Any]
    load: Callable[[Any], None]


def fault(value: Any) -> str | None:
    """The first thing JSON would change in silence, as the sentence to show; None when there is none."""
    return next(_faults(value, "memory", 0), None)


def _faults(value: Any, path: str, depth: int) -> Iterator[str]:
    kind = type(value)
    if kind in (str, int, bool, type(None)):
        if kind is str and not _utf8(value):
            yield f"{path} holds a lone surrogate: write text.encode('utf-8', 'replace').decode()"
    elif kind is float:
        if not math.isfinite(value):
            yield f"{path} is {value}: JSON has no such number, write None or a string"
    elif depth >= DEPTH:
        yield f"{path} is nested more than {DEPTH} deep: keep the deep part in the workspace"
    elif kind is dict:
        yield from _in_dict(value, path, depth)
    elif kind is list:
        for place, item in enumerate(value):
            yield from _faults(item, f"{path}[{place}]", depth + 1)
    else:
        yield f"{path} is {_article(kind.__name__)}: {_ADVICE.get(kind.__name__, _OTHERWISE)}"


def _in_dict(value: dict[Any, Any], path: str, depth: int) -> Iterator[str]:
    for key, item in value.items():
        if type(key) is not str:
            shown = f"{path}[{key!r:.60}]"
            kind_of_key = _article(type(key).__name__)
            yield f"{shown} has {kind_of_key} as its key: JSON keys are strings, write str(key)"
        else:
            yield from _faults(item, f"{path}[{key!r:.60}]", depth + 1)


def _utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _article(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


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
}
