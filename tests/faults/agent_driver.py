"""The agent of tests/faults/test_agent_dies.py: `python agent_driver.py NAME LEDGER WHAT`.

WHAT is `work` (actions without end), `break` (every action fails), `end` (starts and leaves). Whatever a call
did, and what came back to the caller, becomes a line of LEDGER outside the system.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time

from sickbay import ActionFailed, Agent, AgentPauseRequired, Run

name, path, what = sys.argv[1:4]
ledger = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
agent = Agent(name, heal=False)
failed_at = 0.0


def say(*words: object) -> None:
    os.write(ledger, (" ".join(map(str, words)) + "\n").encode())


def look_up(number: int) -> int:
    """Work that succeeds."""
    return number


def charge(number: int) -> None:
    """Work that breaks, and says that it was done."""
    global failed_at
    say("did", number)
    failed_at = time.monotonic()
    raise ValueError("the card was refused")


def work(run: Run) -> None:
    for number in itertools.count(int(time.time() * 1000) * 1000):
        run.execute(look_up, number)
        say("recorded", number)
        if number % 20 == 0:
            threading.Event().wait(0.02)


def breaks(run: Run) -> None:
    for number in range(20):
        try:
            run.execute(charge, number)
        except ActionFailed:
            say("failed", number)
        except AgentPauseRequired:
            say("paused", number, time.monotonic() - failed_at)
    say("over")


try:
    with agent.run() as run:
        say("began")
        if what != "end":
            work(run) if what == "work" else breaks(run)
except AgentPauseRequired:
    say("refused")
