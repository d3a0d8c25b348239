"""Time, as the SDK reads it: one clock a run, passed down.

Durations are measured on the boot-time clock, which neither an operator nor NTP can set; the wall clock
only labels what a person reads. `sickbay.testing.FakeClock` takes this class's place in tests.
"""

from __future__ import annotations

import contextlib
import functools
import queue
import time
from pathlib import Path
from typing import Protocol


class Clock:
    """The machine's clocks."""

    def boot(self) -> float:
        """Seconds on the boot-time clock: it goes on while the machine sleeps and never jumps."""
        return _boottime()

    def wall(self) -> float:
        """Seconds since the epoch, as this machine believes."""
        return time.time()

    @property
    def boot_id(self) -> str:
        """Which boot `boot` counts from."""
        return _boot_id()

    def wait(self, bell: ThreadBell, seconds: float | None) -> None:
        """Wait until the bell rings, at most so many seconds."""
        bell.wait(seconds)

    async def awaiting(self, bell: LoopBell, seconds: float | None) -> None:
        """The same in an event loop."""
        await bell.wait(seconds)


class Bell(Protocol):
    """Wakes one who waits; `ring` may be called from any thread and from a signal handler."""

    def ring(self) -> None: ...


class ThreadBell:
    """Wakes one waiting thread. A SimpleQueue, because its put is safe in a signal handler."""

    def __init__(self) -> None:
        self._rings: queue.SimpleQueue[None] = queue.SimpleQueue()

    def ring(self) -> None:
        self._rings.put(None)

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it rang within so many seconds; one ring wakes one wait."""
        try:
            self._rings.get(timeout=seconds)
        except queue.Empty:
            return False
        return True


class LoopBell:
    """Wakes one waiting task."""

    def __init__(self) -> None:
        import asyncio  # 30 ms, and whoever comes here has it

        self._loop = asyncio.get_running_loop()
        self._rung = asyncio.Event()

    def ring(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits there
            self._loop.call_soon_threadsafe(self._rung.set)

    async def wait(self, seconds: float | None = None) -> bool:
        import asyncio

        try:
            await asyncio.wait_for(self._rung.wait(), seconds)
        except TimeoutError:
            return False
        self._rung.clear()
        return True


def _boottime() -> float:
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


@functools.cache
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        # Where the kernel gives no id, the boot's wall-clock minute stands for it.
        return f"boot-{int((time.time() - time.monotonic()) // 60)}"
