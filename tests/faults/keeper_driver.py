"""The agent of test_checkpoints_die.py, `keeper_driver.py NAME WORK LEDGER`: all of it says one number.

Each step writes the next number everywhere and takes a checkpoint of it. What was taken, and in which state
it found itself after a rollback, becomes a line of LEDGER outside the system.
"""

from __future__ import annotations

import os
import random
import sys
import threading
from pathlib import Path

from sickbay import Agent, FailureBudget, Run, _safe_points

name, work, path = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
ledger = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
FILES = [work / part for part in ("a.txt", "b.txt", "deep/c.txt", "deep/er/d.txt")]
_safe_points.ASK_AGAIN = 0.5  # a server that was killed is back at once
agent = Agent(
    name, workspace=work, memory={"n": 0, "said": []}, heal=False,
    budget=FailureBudget(max_consecutive=1000, max_hourly=1000),
)  # fmt: skip
told = ""


def say(*words: object) -> None:
    os.write(ledger, (" ".join(map(str, words)) + "\n").encode())


def write(n: int) -> None:
    for file in FILES:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{n}\n" * (1 + n % 50))
    (work / "large.bin").write_bytes(random.Random(n).randbytes(40_000))


def shows() -> list[str]:
    """The number that each file says; a file that is missing says nothing."""
    return [file.read_text().partition("\n")[0] if file.exists() else "-" for file in FILES]


def step(run: Run) -> None:
    global told
    back = run.rolled_back
    if back is not None and back.before != told:
        told = str(back.before)
        say("back", back.to, told, agent.memory["n"], *shows())
    if (work.parent / "rest").exists():
        threading.Event().wait(0.1)
        return
    n = agent.memory["n"] + 1
    write(n)
    agent.memory["n"] = n
    agent.memory["said"].append(f"number {n} " * 20)
    del agent.memory["said"][:-200]
    taken = run.checkpoint(f"n{n}")
    if taken.id:
        say("taken", taken.id, n)
    run.execute(len, "abc", verify=lambda length: length == 3)
    threading.Event().wait(0.1)


say("began")
agent.supervise(step)
say("left")
