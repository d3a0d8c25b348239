"""Subtrees that stand in many places: compared so far and no further, and that is said."""

from __future__ import annotations

import pytest

from checkpoints.diffs import loading, memory, workspace
from sdk.tests.tree.test_bombs import Bomb
from sickbay.tree.directory import SUBDIRECTORY, Entry, body_of
from sickbay.tree.node import DIRECTORY


def directories(bomb: Bomb, levels: int, name: bytes) -> bytes:
    """Two directories in each, the same one twice."""
    below = bomb.put(DIRECTORY + body_of([Entry(name, 2, body=b"x")]))
    for _ in range(levels):
        pair = [Entry(which, SUBDIRECTORY, name=below) for which in (b"a", b"b")]
        below = bomb.put(DIRECTORY + body_of(pair))
    return below


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often two places were compared."""
    steps: list[int] = []
    step = loading.Rounds._step

    def counted(self: loading.Rounds, *given: object) -> None:
        steps.append(1)
        step(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(loading.Rounds, "_step", counted)
    return steps


def test_memories_whose_lists_multiply(compared: list[int]) -> None:
    """Four million places out of 44 nodes."""
    bomb = Bomb()
    sides = [bomb.lists(22, 2, leaf) for leaf in (b"1", b"2")]
    diff = memory.compare(*sides, bomb.fetch)
    assert not diff.complete and len(diff.changes) <= memory.MOST_CHANGES
    assert len(compared) <= 3 * loading.PLACES and bomb.asked <= 46


def test_workspaces_whose_directories_multiply(compared: list[int]) -> None:
    """The same of directories."""
    bomb = Bomb()
    sides = [directories(bomb, 22, name) for name in (b"one", b"two")]
    diff = workspace.compare(*sides, bomb.fetch)
    assert not diff.complete and len(diff.changes) <= workspace.MOST_CHANGES
    assert len(compared) <= 3 * loading.PLACES and bomb.asked <= 46


def test_large_nodes_that_are_compared_again_and_again() -> None:
    """Their bytes count each time."""
    bomb = Bomb()
    wide = [b"f%06d" % n for n in range(60_000)]
    sides = []
    for target in (b"x", b"y"):
        below = bomb.put(DIRECTORY + body_of([Entry(name, 2, body=target) for name in wide]))
        pair = [Entry(b"%05d" % n, SUBDIRECTORY, name=below) for n in range(3_000)]
        sides.append(bomb.put(DIRECTORY + body_of(pair)))
    diff = workspace.compare(*sides, bomb.fetch)
    assert not diff.complete and len(diff.changes) <= workspace.MOST_CHANGES
