"""The sender: one thread that empties the spool, oldest first, one batch in flight.

What is urgent (a failure, a pause, a changed state, a receipt) goes at once, the rest within 250 ms. Failing
costs a wait with jitter; the server's `wait_ms` is obeyed; a batch it refuses is halved until the one line
it means stands alone, which is set aside. A state that changed travels even when there is no event. Once a
second it makes the spool safe against power loss. Jobs (register, receipts) run here, too, so that a caller
waits on an event with a limit and never on a network.
"""

from __future__ import annotations

import collections
import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sickbay._pacing import Pacing
from sickbay._spool import Batch, Spool

if TYPE_CHECKING:
    from sickbay._packs import Packs

SOON = 0.25
SYNC = 1.0
MOST = 500
BUG_PAUSE = 5.0
log = logging.getLogger("sickbay")


class Job:
    """A request somebody waits for, done on the sender's thread; `late` hears of it if the waiter left."""

    def __init__(self, work: Callable[[], Any], late: Callable[[Any], None] | None = None) -> None:
        self._work, self._late = work, late
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._left = False
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = self._work()
        except BaseException as error:  # handed to whoever waits
            self.error = error
        with self._lock:  # either the waiter gets it or `late` does, never neither
            self._over.set()
            late = self._late if self._left and self.error is None else None
        if late is not None:
            late(self.result)

    def wait(self, timeout: float) -> bool:
        """Whether it was done in time."""
        self._over.wait(timeout)
        with self._lock:
            self._left = not self._over.is_set()
            return not self._left


class Sender:
    """The thread and its bell. `turn()` does the network's part and answers whether there is more."""

    def __init__(self, spool: Spool, turn: Callable[[], bool], pacing: Pacing) -> None:
        self.pacing = pacing
        self._spool, self._turn = spool, turn
        self._bell = threading.Condition()
        self._jobs: collections.deque[Job] = collections.deque()
        self._due: float | None = None
        self._told_until = self._backing_off_until = 0.0
        self._synced = 0.0
        self._stopping = False
        self._thread: threading.Thread | None = None
        self.packs: Packs | None = None
        self.turns = 0
        self.failures = 0
        self.idle = False

    def start(self) -> None:
        with self._bell:
            if self._thread is None or not self._thread.is_alive():
                self._stopping = False
                self._thread = threading.Thread(target=self._run, name="sickbay-sender", daemon=True)
                self._thread.start()

    def stop(self, timeout: float) -> None:
        with self._bell:
            self._stopping = True
            self._bell.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    @property
    def is_me(self) -> bool:
        return threading.current_thread() is self._thread

    def nudge(self, urgent: bool) -> None:
        """There is something to send. Cheap when it is already known: this runs with every event."""
        if self._due is not None and not urgent:
            return
        now = time.monotonic()
        with self._bell:
            due = now if urgent else now + SOON
            if self._due is None or due < self._due:
                self._due = due
                self._bell.notify_all()

    def hurry(self) -> None:
        """The server is there: what waited out a failure need not wait on."""
        self.pacing.worked()
        with self._bell:
            self._backing_off_until = 0.0
            self._bell.notify_all()

    def hold(self, seconds: float) -> None:
        """Send nothing for so long, as the server asked; jobs still run."""
        with self._bell:
            self._told_until = max(self._told_until, time.monotonic() + seconds)

    def ask(self, work: Callable[[], Any], late: Callable[[Any], None] | None = None) -> Job:
        """Run this on the sender's thread, before anything else."""
        job = Job(work, late)
        if self.is_me:
            job.run()
            return job
        with self._bell:
            self._jobs.append(job)
            self._bell.notify_all()
        return job

    def drained(self, timeout: float) -> bool:
        """Wait until nothing is left to send; not longer than it takes to fail twice."""
        deadline = time.monotonic() + timeout
        with self._bell:
            self._backing_off_until = 0.0
            self._due = time.monotonic()
            self.idle = False
            before = self.failures
            self._bell.notify_all()
            while not self.idle and self.failures < before + 2:
                left = deadline - time.monotonic()
                if left <= 0 or self._stopping:
                    return False
                self._bell.wait(left)
            return self.idle

    def _run(self) -> None:
        while True:
            with self._bell:
                while not self._jobs and not self._stopping and (wait := self._until()) > 0:
                    self._bell.wait(wait)
                if self._stopping and not self._jobs:
                    return
                job = self._jobs.popleft() if self._jobs else None
            if job is not None:
                job.run()
                continue
            try:
                self._step()
            except Exception:
                log.exception("sickbay: a bug of the sender; your agent goes on")
                self.hold(BUG_PAUSE)
                self._settle(failed=True)

    def _until(self) -> float:
        """Seconds until something is due; a long time when nothing is."""
        now = time.monotonic()
        waits = [3600.0]
        if self._is_dirty:
            waits.append(self._synced + SYNC - now)
        if self._due is not None:
            waits.append(self._opens(self._due) - now)
        return min(waits)

    @property
    def _is_dirty(self) -> bool:
        return self._spool.is_dirty or (self.packs is not None and self.packs.is_dirty)

    def _opens(self, due: float) -> float:
        return max(due, self._told_until, self._backing_off_until)

    def _step(self) -> None:
        now = time.monotonic()
        if self._is_dirty and now >= self._synced + SYNC:
            self._synced = now
            self._spool.sync()
            if self.packs is not None:
                self.packs.sync()
        if self._due is None or now < self._opens(self._due):
            return
        self._due = None  # before reading: what is appended from here on sets it anew
        try:
            more = self._turn()
        except Failed as failed:
            self._backing_off_until = time.monotonic() + self.pacing.failed()
            self.hold(failed.wait)
            self._settle(failed=True)
            return
        self.pacing.worked()
        self._settle(failed=False, more=more)

    def _settle(self, *, failed: bool, more: bool = True) -> None:
        with self._bell:
            self.turns += 1
            self.failures += failed
            if more:
                self._due = time.monotonic()
            self.idle = not more and self._due is None
            self._bell.notify_all()


class Failed(Exception):
    """A turn did not get through. `wait` is what the server asked to wait, in seconds."""

    def __init__(self, wait: float = 0.0) -> None:
        super().__init__(wait)
        self.wait = wait


class Portion:
    """How many lines the next batch may hold: halved by a refusal, doubled by every success."""

    def __init__(self) -> None:
        self.most = MOST

    def next(self, spool: Spool) -> Batch | None:
        return spool.batch(self.most)

    def refused(self, batch: Batch) -> bool:
        """Whether the batch is down to the one line that is meant."""
        self.most = max(1, len(batch.lines) // 2)
        return len(batch.lines) == 1

    def accepted(self) -> None:
        self.most = min(MOST, self.most * 2)


def standing_of(state: dict[str, Any]) -> Any:
    """The part of the state whose change travels at once, even without an event."""
    account = state.get("account") or {}
    return (
        state.get("status"),
        state.get("pause"),
        state.get("settled"),
        state.get("held"),
        account.get("number"),
        len(account.get("hour") or ()),
        account.get("streak"),
    )
