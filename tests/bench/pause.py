"""How long a budget pause takes: `uv run python -m tests.bench.pause`.

Bound (P6): without a server, from the end of the action that spends the budget until AgentPauseRequired is
out of `execute` and the pause is on disk, ≤ 50 ms. When the exception is caught, the state file is read back
with its checksum, so that what was measured was written. The floor in the same run: what being durable costs
by itself, one fsync of a file and one of its directory.
"""

from __future__ import annotations

import contextlib
import os
import socket
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sickbay import ActionFailed, Agent, AgentPauseRequired, Run
from sickbay._clock import Clock
from sickbay._state import StateFile

TIMES = 200
ended = 0.0


def charge() -> None:
    """It fails, and says when."""
    global ended
    ended = time.perf_counter()
    raise ValueError("the card was refused")


def spend(run: Run) -> float:
    """Milliseconds from the end of the failure that spends the budget to the pause."""
    for _ in range(2):
        with contextlib.suppress(ActionFailed):
            run.execute(charge)
    try:
        run.execute(charge)
    except AgentPauseRequired:
        return (time.perf_counter() - ended) * 1000
    raise AssertionError("three failures, and no pause")


def paused(home: Path, number: int, url: str | None) -> float:
    agent = Agent(f"bench-{number}", home=home, url=url, token="sb_test_token" if url else None)
    with contextlib.suppress(AgentPauseRequired), agent.run() as run:
        took = spend(run)
        assert StateFile(home / agent.name / "main", Clock()).data.pause is not None
        return took
    raise AssertionError


def durable(home: Path) -> float:
    began = time.perf_counter()
    with open(home / "floor", "wb") as file:
        file.write(b"x" * 600)
        file.flush()
        os.fsync(file.fileno())
    directory = os.open(home, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)
    return (time.perf_counter() - began) * 1000


def row(name: str, times: int, work: Callable[[int], float]) -> None:
    took = sorted(work(number) for number in range(times))
    print(f"{name:34}{statistics.median(took):10.2f}{took[times * 99 // 100]:10.2f}{took[-1]:10.2f}")


def main() -> None:
    with socket.socket() as nobody, tempfile.TemporaryDirectory() as base:
        nobody.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        print(f"{'':34}{'p50 ms':>10}{'p99 ms':>10}{'worst':>10}")
        row("fsync of file, directory (floor)", TIMES, lambda _: durable(Path(base)))
        row("pause, no server given", TIMES, lambda n: paused(Path(base) / "alone", n, None))
        row("pause, its server is gone", TIMES // 4, lambda n: paused(Path(base) / "gone", n, url))


if __name__ == "__main__":
    import logging

    logging.getLogger("sickbay").setLevel(logging.CRITICAL)  # that the server is gone is the point
    main()
