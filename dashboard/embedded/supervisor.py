"""Keeps children alive, and ends them in order.

One thread sleeps until a signal arrives: a child's death (started again at once, and with a growing pause
when it keeps dying young) or the wish to stop. Children are stopped from the last started to the first, so
that nobody loses the server under their feet; those of one rank are asked together. The kernel ends them
if this process is killed (leash.py).
"""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from dashboard.embedded.children import Child

PAUSES = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
GROWN_UP = 10.0
PATIENCE = (1.5, 1.2, 1.0)  # by rank: servers, product, agents; together under five seconds
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass
class Kept:
    child: Child
    rank: int
    started_at: float
    deaths: int = 0
    due_at: float | None = None


@dataclass
class Supervisor:
    kept: list[Kept] = field(default_factory=list)
    starting: bool = True
    stopping: bool = False

    def start(self, child: Child, rank: int) -> Child:
        """`rank` orders the stop: the highest goes first."""
        child.start()
        self.kept.append(Kept(child, rank, time.monotonic()))
        return child

    def watch(self) -> None:
        """Returns when somebody asked to stop."""
        self.starting = False
        with wakeups(self) as (reader, _):
            while not self.stopping:
                timeout = self.look(time.monotonic())
                select.select([reader], [], [], timeout)
                with contextlib.suppress(BlockingIOError):
                    reader.recv(4096)

    def look(self, now: float) -> float:
        """Starts what is dead and due; answers how long nothing else is due."""
        wait = 5.0
        for kept in self.kept:
            kept.child.trim_log()
            if kept.child.is_running():
                continue
            if kept.due_at is None:
                kept.due_at = now + self.pause_after(kept, now)
                how = kept.child.process.returncode if kept.child.process else "never"
                say(f"{kept.child.name} ended ({how}); starting it again")
            if kept.due_at <= now:
                kept.child.start()
                kept.started_at, kept.due_at = now, None
            else:
                wait = min(wait, kept.due_at - now)
        return wait

    def pause_after(self, kept: Kept, now: float) -> float:
        kept.deaths = 0 if now - kept.started_at > GROWN_UP else kept.deaths + 1
        return PAUSES[min(kept.deaths, len(PAUSES) - 1)]

    def stop(self) -> None:
        for rank in sorted({kept.rank for kept in self.kept}, reverse=True):
            children = [kept.child for kept in self.kept if kept.rank == rank]
            for child in children:
                child.ask_to_stop()
            deadline = time.monotonic() + PATIENCE[min(rank, len(PATIENCE) - 1)]
            for child in children:
                child.stop(max(deadline - time.monotonic(), 0.05))
        self.kept.clear()


@contextlib.contextmanager
def wakeups(supervisor: Supervisor) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Signals as bytes on a socket: none is lost between looking and sleeping."""
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)
    former = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        yield reader, writer
    finally:
        signal.set_wakeup_fd(former)
        reader.close()
        writer.close()


class AskedToStop(BaseException):
    """Somebody asked to stop before everything was up."""


def on_stop(supervisor: Supervisor) -> None:
    """From now on a stop signal ends `watch`; before that it breaks off what waits for a server."""

    def stop(_number: int, _frame: object) -> None:
        first, supervisor.stopping = not supervisor.stopping, True
        if first and supervisor.starting:
            raise AskedToStop

    for number in STOPPING:
        signal.signal(number, stop)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)


def say(text: str) -> None:
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)
