"""The agent of the rollback's story: it spoils its ledger, and books well once it was rolled back."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from sickbay import ActionFailed, Agent

WORK = Path(os.environ["SICKBAY_HOME"]).parent / "work"
WORK.mkdir(exist_ok=True)
LEDGER = WORK / "ledger.csv"
agent = Agent("bookkeeper", memory={"booked": 0}, workspace=WORK, heal=False)


def book(number: int) -> list[str]:
    with LEDGER.open("a") as ledger:
        ledger.write(f"{number},10.00\n")
    return LEDGER.read_text().splitlines()


def step(run: Any) -> None:
    number = agent.memory["booked"] + 1
    if number == 4 and run.rolled_back is None:
        LEDGER.write_text("spoiled\n")
    try:
        run.execute(book, number, expected="as many lines as bookings", verify=lambda at: len(at) == number)
    except ActionFailed:
        return
    agent.memory["booked"] = number
    run.checkpoint(f"booked {number}")
    threading.Event().wait(0.2)


agent.supervise(step)
