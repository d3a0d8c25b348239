"""Waiting for a condition, with a deadline and a name for what did not come."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_pulse = threading.Event()


def until(condition: Callable[[], T], timeout: float = 10.0, what: str = "", every: float = 0.02) -> T:
    """The first true value of `condition`; AssertionError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s for {what or condition}; the last value was {value!r}")
        _pulse.wait(every)
