"""Waiting for a condition, with a deadline and a name for what did not come.

Promises in seconds hold on a machine that is not busy with something else: `slowness` says how busy it is
at this moment, by starting a Python whose cost is known, so that a limit can be multiplied by it.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_pulse = threading.Event()
REFERENCE = "import django.core.management, django.db.models, celery, psycopg, redis, daphne.server"
REFERENCE_SECONDS = 0.9


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


def slowness() -> float:
    """1 on an idle machine like ours or a faster one, more when others take its time."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", REFERENCE], check=True)
    return max(1.0, (time.monotonic() - began) / REFERENCE_SECONDS)
