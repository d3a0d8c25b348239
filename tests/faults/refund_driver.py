"""The agents of tests/faults/test_refunds.py: `python refund_driver.py WHAT COUNTER TOLD`.

`refunds` makes twenty, each under its key. `answers` meets four effects that a human must answer for: one
that happened and timed out, one that timed out and did not happen, and two that are done and not as expected.
What `execute` returned becomes a line of TOLD.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from pathlib import Path
from typing import Any

import urllib3

from sickbay import ActionFailed, Agent, FailureBudget, Run

what, counter, told = sys.argv[1], sys.argv[2], Path(sys.argv[3])
pool = urllib3.PoolManager(retries=False, timeout=30)
lost = told.with_name("lost")  # the request of `never` got lost once
budget = FailureBudget(max_consecutive=1000, max_hourly=1000)
memory: dict[str, Any] = {"next": 1, "left": ["late", "never", "kept", "twice"]}
desk = Agent("refund-desk", memory=memory, heal=False, budget=budget)


def refund(order: str) -> Any:
    return pool.request("POST", f"{counter}/refund/{order}").json()


def late(order: str) -> Any:
    """The answer gets lost."""
    refund(order)
    raise TimeoutError


def never(order: str) -> Any:
    """The request gets lost, the first time."""
    if not lost.exists():
        lost.touch()
        raise TimeoutError
    return refund(order)


def say(order: str, result: Any) -> None:
    with told.open("a") as file:
        file.write(json.dumps([order, result]) + "\n")


def refunds(run: Run) -> None:
    number = str(desk.memory["next"])
    if number == "21":
        sys.exit(0)
    key = f"refund:{number}"
    result = run.execute(refund, number, external=True, key=key, verify=lambda r: r["order"] == number)
    say(number, result)
    desk.memory["next"] += 1
    if number == "5":
        run.checkpoint("after five")


def answers(run: Run) -> None:
    """Each is tried again until a human has answered for it; the others go on meanwhile."""
    for order in list(desk.memory["left"]):
        is_wrong = order in ("kept", "twice")
        with contextlib.suppress(ActionFailed):
            result = run.execute(
                {"late": late, "never": never}.get(order, refund), order, external=True,
                key=f"refund:{order}", verify=lambda r: r["time"] == 2 if is_wrong else True,  # noqa: B023
            )  # fmt: skip
            say(order, result)
            desk.memory["left"].remove(order)
    if not desk.memory["left"]:
        sys.exit(0)
    threading.Event().wait(0.2)


desk.supervise(refunds if what == "refunds" else answers)
