"""Builders for the tests of what is durable: homes, links, events, a clock that can be set."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sdk.tests.peer import TOKEN
from sickbay import _segments, budget
from sickbay._home import Home, place
from sickbay._identity import Identity
from sickbay._link import Link

T = TypeVar("T")
RUN = "0" * 31 + "1"
LATER = "f" * 32


class Clock:
    """Both clocks and the boot, to be set at will."""

    def __init__(self) -> None:
        self.now, self.up, self.boot_id = 1_800_000_000.0, 5_000.0, "this boot"

    def wall(self) -> float:
        return self.now

    def boot(self) -> float:
        return self.up


def event(number: int = 0, **more: Any) -> dict[str, Any]:
    return {"kind": "action", "at": 1_800_000_000.0, "name": "look_up", "number": number, **more}


def begun(base: Path, run: str = RUN, name: str = "refund-desk") -> Home:
    home = Home.open(name, "main", base)
    home.spool.begin(run, 1_800_000_000.0)
    return home


def on_disk(base: Path, name: str = "refund-desk") -> list[tuple[str, int, dict[str, Any]]]:
    found = _segments.events(place(base, name, "main") / "spool")
    return [(run, seq, json.loads(line)) for run, seq, line in found]


def drained(home: Home) -> list[bytes]:
    """Every line a sender would send, acknowledged as it goes."""
    lines: list[bytes] = []
    while (batch := home.spool.batch()) is not None:
        lines += batch.lines
        home.spool.acknowledged(batch, len(batch.lines))
    return lines


class Heard:
    """What a link called back with, and the state it may tell."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {
            "status": "running",
            "since": 1_800_000_000.0,
            "doing": None,
            "doing_since": None,
            "pause": None,
            "settled": None,
            "account": budget.dump(budget.Account(), 0.0),
        }
        self.commands: list[dict[str, Any]] = []
        self.accounts: list[dict[str, Any]] = []
        self.pauses: list[dict[str, Any]] = []
        self.fenced = 0

    def on_fenced(self) -> None:
        self.fenced += 1


def linked(home: Home, url: str | None, heard: Heard, token: str = TOKEN) -> Link:
    return Link(
        home,
        Identity(home.name, home.instance, uuid.uuid4().hex),
        url,
        token,
        snapshot=lambda: dict(heard.state),
        on_account=heard.accounts.append,
        on_commands=heard.commands.extend,
        on_pause=heard.pauses.append,
        on_fenced=heard.on_fenced,
    )


def until(condition: Callable[[], T], timeout: float = 10.0) -> T:
    """The first true value of `condition`."""
    pulse, deadline = threading.Event(), time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {timeout} s"
        pulse.wait(0.01)
    return value


def child(code: str, *args: str) -> subprocess.Popen[str]:
    """Another Python process that runs `code`; say something to it by its stdin, hear it on its stdout."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def ours() -> list[str]:
    """The SDK's living threads."""
    return sorted(t.name for t in threading.enumerate() if t.name.startswith(("sickbay", "Thread-recv")))
