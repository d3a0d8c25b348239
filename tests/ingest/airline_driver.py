"""The agent of the airline test: replays real tool calls through the SDK, and can be told where to hang.

    python airline_driver.py CALLS.json LEDGER HANG_AT HANG_WHERE

`CALLS.json` is a list of [name, arguments, answer]. How far it got is read from the spool. Each call that
returned becomes a line in LEDGER, outside the system; at position HANG_AT it says so there and waits to be
killed, inside the action or between two of them.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

from sickbay import ActionFailed, Agent, Run
from sickbay.testing import spooled


class ToolFailed(Exception):
    """The transcript's tool answered with an error."""


def reached(home: Path) -> int:
    """The position after the last action that the spool recorded."""
    actions = [
        e for e in spooled(home, "airline") if e["kind"] == "action" and e["outcome"] in ("ok", "failed")
    ]
    return 1 + max((e["input"]["call"] for e in actions), default=-1)


def say(ledger: Path, what: str, position: int) -> None:
    with ledger.open("a") as file:
        file.write(f"{what} {position}\n")


def hang(ledger: Path, where: str, position: int) -> None:
    say(ledger, where, position)
    threading.Event().wait()


def main() -> None:
    calls = json.loads(Path(sys.argv[1]).read_text())
    ledger, hang_at, hang_where = Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    position = reached(Path(os.environ["SICKBAY_HOME"]))
    agent = Agent("airline", heal=False)

    def step(run: Run) -> None:
        nonlocal position
        if position == len(calls):
            sys.exit(0)
        if hang_where == "between" and position == hang_at:
            hang(ledger, "between", position)
        name, arguments, answer = calls[position]
        entered = 0
        try:
            with run.action(name, input={"call": position, "arguments": arguments}) as act:
                entered = 1
                if hang_where == "inside" and position == hang_at:
                    hang(ledger, "inside", position)
                if answer.startswith("Error"):
                    raise ToolFailed(answer)
                act.result = answer
        except (ToolFailed, ActionFailed):
            pass
        finally:
            if entered:
                say(ledger, "done", position)
            position += entered

    agent.supervise(step)


if __name__ == "__main__":
    main()
