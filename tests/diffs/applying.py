"""A plain model of a memory's diff: the new memory, made of the old one and the changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from checkpoints.diffs.memory import Change, Item


def applied(old: Any, changes: list[Change], read: Callable[[Item], Any]) -> Any:
    """The new value, made of the old one and the changes alone."""
    return _value(old, (), (), changes, read)


def _value(old: Any, was: tuple[Any, ...], path: tuple[Any, ...], changes: list[Change], read: Any) -> Any:
    for change in changes:
        if change.op in ("change", "add") and change.path == path:
            assert change.new is not None
            return read(change.new)
    if isinstance(old, dict):
        return _object(old, was, path, changes, read)
    return _list(old, was, path, changes, read) if isinstance(old, list) else old


def _here(changes: list[Change], op: str, at: tuple[Any, ...], *, by_was: bool = False) -> dict[Any, Change]:
    found = {}
    for change in changes:
        place = (change.was if by_was and change.was is not None else change.path) or ()
        if change.op == op and len(place) == len(at) + 1 and place[:-1] == at:
            found[place[-1]] = change
    return found


def _object(old: dict[str, Any], was: Any, path: Any, changes: list[Change], read: Any) -> dict[str, Any]:
    gone = _here(changes, "remove", was)
    new = {k: _value(v, (*was, k), (*path, k), changes, read) for k, v in old.items() if k not in gone}
    for key, change in _here(changes, "add", path).items():
        assert change.new is not None
        new[key] = read(change.new)
    return new


def _list(old: list[Any], was: Any, path: Any, changes: list[Change], read: Any) -> list[Any]:
    gone = {*_here(changes, "remove", was), *_here(changes, "move", was, by_was=True)}
    added = {**_here(changes, "add", path), **_here(changes, "move", path)}
    left = [place for place in range(len(old)) if place not in gone]
    new: list[Any] = []
    for place in range(len(left) + len(added)):
        if place in added:
            item = added[place].new
            assert item is not None
            new.append(read(item))
        else:
            there = left.pop(0)
            new.append(_value(old[there], (*was, there), (*path, place), changes, read))
    return new
