"""Who started whom: a program's family, also those of it that lead a session of their own.

Each backend of Postgres does, so a signal to the postmaster's group reaches none of them. On Linux /proc
is read, elsewhere `ps`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

LINUX = sys.platform == "linux"


def parents() -> dict[int, int]:
    """The parent of every process that is more than a zombie."""
    if LINUX:
        return {pid: parent for pid in numbered() if (parent := parent_of(pid)) is not None}
    shown = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,state="], capture_output=True, text=True).stdout
    rows = (line.split() for line in shown.splitlines())
    return {int(pid): int(parent) for pid, parent, state, *_ in rows if not state.startswith("Z")}


def numbered() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def parent_of(pid: int) -> int | None:
    """None for one that has ended; the name in the line may hold brackets and spaces of its own."""
    with contextlib.suppress(OSError):
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
        return int(parent) if state not in "ZX" else None
    return None


def below(pid: int) -> list[int]:
    """Every descendant of `pid`."""
    of = parents()
    found = [pid]
    for one in found:  # grows while it is walked
        found.extend(child for child, parent in of.items() if parent == one and child not in found)
    return found[1:]


def working_in(directory: Path) -> list[int]:
    """The processes whose directory this is (Linux alone can tell)."""
    found = []
    for pid in numbered() if LINUX else []:
        with contextlib.suppress(OSError):
            if Path(os.readlink(f"/proc/{pid}/cwd")) == directory and parent_of(pid) is not None:
                found.append(pid)
    return found


def kill_family(pid: int) -> list[int]:
    """Kills `pid` and all below it; it is halted first, so that it starts no more meanwhile."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGSTOP)
    family = [pid, *below(pid)]
    kill(family)
    return family


def kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def wait_until_gone(pids: Iterable[int], timeout: float) -> list[int]:
    """Those that are still there after `timeout` seconds."""
    left, deadline = list(pids), time.monotonic() + timeout
    while left and time.monotonic() < deadline:
        left = [pid for pid in left if pid in parents()]
        if left:
            time.sleep(0.02)
    return left
