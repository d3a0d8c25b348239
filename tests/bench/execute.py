"""What guarding an action costs: `uv run python -m tests.bench.execute`.

Bound: `run.execute` of a no-op ≤ 100 µs p50 over calling it bare, reporting on. The floor is measured in
the same run: the bare call, and one `os.write` of a line like the one an action leaves in the spool.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sickbay import Agent, Run

TIMES = 5_000
LINE = b"x" * 160 + b"\n"
SINK = """
import sys
from sdk.tests.peer import Peer
with Peer() as peer:
    print(peer.url, flush=True)
    sys.stdin.read()
"""


def noop() -> None:
    """Nothing."""


def microseconds(call: Callable[[], object]) -> tuple[float, float]:
    """p50 and p99 of so many calls, after a tenth as many to warm up."""
    for _ in range(TIMES // 10):
        call()
    took = []
    for _ in range(TIMES):
        began = time.perf_counter_ns()
        call()
        took.append(time.perf_counter_ns() - began)
    took.sort()
    return took[TIMES // 2] / 1000, took[TIMES * 99 // 100] / 1000


@contextlib.contextmanager
def server() -> Iterator[str]:
    """A server in a process of its own, which takes what it is sent."""
    process = subprocess.Popen(
        [sys.executable, "-c", SINK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(10)


@contextlib.contextmanager
def running(url: str | None) -> Iterator[Run]:
    with tempfile.TemporaryDirectory() as home:
        token = "sb_test_token" if url else None
        with Agent("bench", home=home, url=url, token=token).run() as run:
            yield run


def main() -> None:
    rows = [("bare call (floor)", *microseconds(noop))]
    with tempfile.NamedTemporaryFile() as file:
        descriptor = os.open(Path(file.name), os.O_WRONLY | os.O_APPEND)
        rows.append(("os.write of a line (floor)", *microseconds(lambda: os.write(descriptor, LINE))))
        os.close(descriptor)
    with running(None) as run:
        rows.append(("execute, no server", *microseconds(lambda: run.execute(noop))))
    with server() as url, running(url) as run:
        rows.append(("execute, reporting on", *microseconds(lambda: run.execute(noop))))
        order = {"id": 17, "amount": 10, "email": "a@example.com"}
        check = {"expected": "the same amount", "verify": lambda o: o["amount"] == 10}
        rows.append(("… verified, with data", *microseconds(lambda: run.execute(dict, order, **check))))  # type: ignore[arg-type]
    bare = rows[0][1]
    print(f"{'':28}{'p50 µs':>10}{'p99 µs':>10}{'over bare':>11}")
    for name, p50, p99 in rows:
        print(f"{name:28}{p50:10.1f}{p99:10.1f}{p50 - bare:11.1f}")


if __name__ == "__main__":
    main()
