"""What differs between two memories of 10 MB (W4), from their stored trees, beside other libraries.

    uv run python -m tests.bench.diff
    uv run --with deepdiff --with jsonpatch python -m tests.bench.diff

Ours reads nodes from Postgres and gets two names; the others get both memories parsed. Those that are not
installed are left out, and said.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Any

from tests.bench import ground

SIZE = 10_000_000
TIMES = 7


def best(call: Callable[[], int], times: int) -> tuple[float, int]:
    """The least milliseconds, and what it counted."""
    took, counted = [], 0
    for _ in range(times):
        began = time.perf_counter()
        counted = call()
        took.append((time.perf_counter() - began) * 1000)
    return min(took), counted


def deepdiff(old: Any, new: Any) -> int:
    found = importlib.import_module("deepdiff").DeepDiff(old, new, max_diffs=None)
    return sum(len(changes) for changes in found.values())


def jsonpatch(old: Any, new: Any) -> int:
    return len(list(importlib.import_module("jsonpatch").make_patch(old, new)))


def measure() -> list[tuple[Any, ...]]:
    from checkpoints import store
    from checkpoints.diffs import memory
    from sickbay.tree.grow import grow
    from sickbay.tree.text import dump
    from tests.bench.checkpoints import Agent
    from tests.restore.taker import whole

    load = ground.workload()
    agent, old = Agent(), load.memory_of_size(SIZE)
    before = grow(dump(old))
    agent.take(before.root, [whole(new) for new in before.new], 1)
    rows: list[tuple[Any, ...]] = [("case", "who", "least ms", "changes", "nodes", "queries")]
    for case in (load.five_changes, load.delete_middle, load.mixed):
        new = case(old)
        after = grow(dump(new), before)
        agent.take(after.root, [whole(one) for one in after.new], 2)
        asked: list[int] = []

        def fetch(names: list[bytes], asked: list[int] = asked) -> dict[bytes, bytes]:
            asked.append(len(names))
            return store.fetch(agent.project.pk, names)

        def ours(root: bytes = after.root, fetch: Any = fetch, asked: list[int] = asked) -> int:
            asked.clear()
            return len(memory.compare(before.root, root, fetch).changes)

        took, count = best(ours, TIMES)
        rows.append((case.__name__, "sickbay", took, count, sum(asked), len(asked)))
        for peer in (jsonpatch, deepdiff):
            try:
                took, count = best(lambda peer=peer, new=new: peer(old, new), 1)  # type: ignore[misc]
                rows.append((case.__name__, peer.__name__, took, count, "", ""))
            except ImportError:
                rows.append((case.__name__, f"{peer.__name__}: not installed", "", "", "", ""))
    return rows


def main() -> None:
    with ground.servers():
        ground.table("What differs between two memories of 10 MB", measure())
    print("\n  wanted: ≤ 20 ms and 5, 1 and 5 changes")


if __name__ == "__main__":
    main()
