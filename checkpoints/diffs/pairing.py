"""What was replaced by what: of items removed and added in one place, those that are like each other.

Two messages with the same id, or most of the same values, are one that changed; a text and a number are one
removed and one added. Pairs keep the order of both sides.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from checkpoints.diffs.items import Item, Placed
from sickbay.tree.text import split_object

MOST = 2_500  # combinations that are judged
ALIKE = 0.34
IDENTITIES = (b'"id"', b'"key"', b'"name"', b'"tool_call_id"')


class _Identity(msgspec.Struct, gc=False):
    """IDENTITIES of an object, each as it is spelled."""

    id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    key: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    name: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    tool_call_id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_IDENTITY = msgspec.json.Decoder(_Identity)


def pairs(old: list[Placed], new: list[Placed]) -> Iterator[tuple[Placed | None, Placed | None]]:
    """(old, new), with None for what has no counterpart, in the order of both."""
    i = j = 0
    for a, b in _matched(old, new):
        yield from ((one, None) for one in old[i:a])
        yield from ((None, one) for one in new[j:b])
        yield old[a], new[b]
        i, j = a + 1, b + 1
    yield from ((one, None) for one in old[i:])
    yield from ((None, one) for one in new[j:])


def _matched(old: list[Placed], new: list[Placed]) -> list[tuple[int, int]]:
    """The pairs in order whose likeness adds up to the most."""
    if not old or not new:
        return []
    if len(old) == len(new) == 1:
        return [(0, 0)] if likeness(old[0].item, new[0].item) >= ALIKE else []
    if len(old) * len(new) > MOST:
        return list(zip(range(len(old)), range(len(new)), strict=True)) if len(old) == len(new) else []
    best = [[0.0] * (len(new) + 1) for _ in range(len(old) + 1)]
    like = [[likeness(a.item, b.item) for b in new] for a in old]
    for i in range(len(old) - 1, -1, -1):
        for j in range(len(new) - 1, -1, -1):
            pair = best[i + 1][j + 1] + like[i][j] if like[i][j] >= ALIKE else 0.0
            best[i][j] = max(pair, best[i + 1][j], best[i][j + 1])
    return list(_traced(best, like))


def _traced(best: list[list[float]], like: list[list[float]]) -> Iterator[tuple[int, int]]:
    i = j = 0
    while i < len(like) and j < len(like[0]):
        if like[i][j] >= ALIKE and best[i][j] == best[i + 1][j + 1] + like[i][j]:
            yield i, j
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1


def likeness(old: Item, new: Item) -> float:
    """From 0, nothing in common, to 1."""
    if old.piece is not None or new.piece is not None:
        return 0.6 if old.piece is not None and new.piece is not None else 0.0
    kind = old.text[:1]
    if kind != new.text[:1] and (kind in b'[{"' or new.text[:1] in b'[{"'):
        return 0.0
    if kind == b"{":
        if _are_one(old.text, new.text):
            return 1.0
        return _of_objects(dict(split_object(old.text)), dict(split_object(new.text)))
    return 0.5


def _are_one(old: bytes, new: bytes) -> bool:
    """Whether an identity says so, found without taking the two apart."""
    try:
        a, b = _IDENTITY.decode(old), _IDENTITY.decode(new)
    except (ValueError, RecursionError):
        return False
    if a.id is not msgspec.UNSET and a.id == b.id:
        return True
    if a.key is not msgspec.UNSET and a.key == b.key:
        return True
    if a.name is not msgspec.UNSET and a.name == b.name:
        return True
    return a.tool_call_id is not msgspec.UNSET and a.tool_call_id == b.tool_call_id


def _of_objects(old: dict[bytes, bytes], new: dict[bytes, bytes]) -> float:
    for identity in IDENTITIES:
        if identity in old and old[identity] == new.get(identity):
            return 1.0
    both = old.keys() & new.keys()
    same = sum(old[key] == new[key] for key in both)
    keys = len(old.keys() | new.keys()) or 1
    return 0.2 * len(both) / keys + 0.8 * same / keys
