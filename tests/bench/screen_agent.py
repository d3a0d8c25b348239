"""The agent of tests/bench/screen.py: an action every 200 ms; a line `fail N` on stdin is a failure.

Its steps are short, so that it is at a safe point when it is told to pause: between two of them.
It says on stdout when each failure was: `failed N <seconds since the epoch>`.
"""

from __future__ import annotations

import queue
import sys
import threading
import time

from sickbay import ActionFailed, Agent, FailureBudget, Run

STEP, PERIOD = 0.01, 0.2
orders: queue.SimpleQueue[str] = queue.SimpleQueue()
agent = Agent("bench", heal=False, budget=FailureBudget(max_consecutive=1000, max_hourly=1000))


def listen() -> None:
    for line in sys.stdin:
        orders.put(line.split()[1])


def look_up() -> None:
    """Work that succeeds."""


def broken(number: str) -> None:
    print("failed", number, time.time(), flush=True)
    raise ValueError(f"broken {number}.")


acted = time.monotonic()


def step(run: Run) -> None:
    global acted
    if time.monotonic() - acted >= PERIOD:
        acted = time.monotonic()
        run.execute(look_up)
    try:
        run.execute(broken, orders.get(timeout=STEP))
    except (queue.Empty, ActionFailed):
        return


threading.Thread(target=listen, daemon=True).start()
agent.supervise(step)
