"""What recording costs the host: `uv run python -m tests.bench.spool`.

Bound: one action line, serialised, appended and marked as in flight before and after, ≤ 25 µs p50. The floor
in the same run: orjson and one os.write of the same line.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import orjson

from sdk.tests.durable import begun, drained, event

TIMES = 5_000
ACTION = event(7, took_ms=1.2, verdict="pass", input={"order": 17}, output={"amount": 20}, title="refunded")


def microseconds(work: Callable[[], object], times: int = TIMES) -> tuple[float, float]:
    """p50 and p99."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1e6, statistics.quantiles(took, n=100)[98] * 1e6


def main() -> None:
    with tempfile.TemporaryDirectory() as base:
        home = begun(Path(base))

        def recorded() -> None:
            home.spool.mark("1 issue_refund")
            home.spool.append(ACTION)
            home.spool.mark(None)

        with open(Path(base) / "floor", "ab", buffering=0) as floor:
            rows = [
                (
                    "orjson and os.write (floor)",
                    *microseconds(lambda: os.write(floor.fileno(), orjson.dumps(ACTION))),
                )
            ]
        rows.append(("append and two marks", *microseconds(recorded)))
        rows.append(("append, fsynced", *microseconds(lambda: home.spool.append(ACTION, sync=True), 200)))
        rows.append(("state saved, fsynced twice", *microseconds(home.state.save, 200)))
        began = time.perf_counter()
        read = len(drained(home))
        rows.append(("read back for sending, each", (time.perf_counter() - began) / read * 1e6, 0.0))
        home.close()
    print(f"{'':30}{'p50 µs':>10}{'p99 µs':>10}")
    for name, p50, p99 in rows:
        print(f"{name:30}{p50:10.1f}{p99:10.1f}")


if __name__ == "__main__":
    main()
