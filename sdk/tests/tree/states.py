"""Memories for tests, and a format with small numbers, so that small states have deep trees."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from sickbay.tree import cut, files

SMALL = {
    "TARGET": 60,
    "HUGE": 400,
    "DEEPEST": 4,
    "RUNS_IN_PLACE": 300,
    "IN_PLACE": 200,
    "ALL_IN_PLACE": 500,
    "GROUPED": 120,
    "GROUP_LEAST": 60,
    "GROUP_TARGET": 100,
    "GROUP_MOST": 300,
}


@contextmanager
def small_format() -> Iterator[None]:
    """The same rules with other numbers."""
    with patch.multiple(cut, **SMALL), patch.multiple(files, ONE=300, TARGET=120):
        yield


def conversation(messages: int, seed: int = 7) -> dict[str, Any]:
    """A memory as agents have it."""
    dice = random.Random(seed)
    words = ["refund", "order", "flight", "the", "of", "sorry", "please", "booked", "cancelled", "amount"]
    said = [
        {"role": "assistant" if n % 2 else "user", "id": n, "content": " ".join(dice.choices(words, k=60))}
        for n in range(messages)
    ]
    return {"instructions": "You refund up to 50 €.", "messages": said, "scratch": {"cursor": 0}}


def value(dice: random.Random, depth: int) -> Any:
    kind = dice.random()
    if depth < 5 and kind < 0.25:
        return [value(dice, depth + 1) for _ in range(dice.randrange(8))]
    if depth < 5 and kind < 0.45:
        return {key(dice): value(dice, depth + 1) for _ in range(dice.randrange(7))}
    if kind < 0.5:
        return "x" * dice.randrange(900) + str(dice.random())
    if kind < 0.7:
        return dice.randrange(10 ** dice.randrange(1, 12))
    return "".join(dice.choice('abc ,\\"é') for _ in range(dice.randrange(40)))


def key(dice: random.Random) -> str:
    return dice.choice("abcdefghijkl") + str(dice.randrange(5))


def edit(dice: random.Random, state: Any) -> None:
    """Some changes anywhere in the state."""
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        box = dice.choice(_boxes(state))
        places = list(box) if isinstance(box, dict) else list(range(len(box)))
        way = dice.random()
        if way < 0.5 or not places:
            if isinstance(box, dict):
                box[key(dice)] = value(dice, 3)
            else:
                box.insert(dice.choice((len(box), dice.randrange(len(box) + 1))), value(dice, 3))
        elif way < 0.7:
            del box[dice.choice(places)]
        else:
            box[dice.choice(places)] = value(dice, 3)


def _boxes(state: Any) -> list[Any]:
    if not isinstance(state, dict | list):
        return []
    inner = state.values() if isinstance(state, dict) else state
    return [state, *(box for one in inner for box in _boxes(one))]
