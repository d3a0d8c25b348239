"""While no worker is felt, beat does what cannot wait: timers, alerts, silent agents.

A dead worker, or a broker that hangs, would keep alerts from everybody, and the channels that could say so
with them. The rows are in Postgres, and claims and conditional updates let any number of processes look for
them: so beat looks, once the worker's pulse has been missing for a while, and tells each channel of it.
"""

from __future__ import annotations

import datetime as dt
import threading
import time

import structlog
from django.db import DatabaseError, close_old_connections
from django.utils import timezone

from agents.services import broken, escalating, sending, watchdog
from dashboard import health

EVERY, AFTER = 5.0, 15.0
log = structlog.get_logger(__name__)


class StandIn:
    """Use it as a context manager; it looks every few seconds until it is left."""

    def __init__(self) -> None:
        self._left, self._missing_since = threading.Event(), 0.0
        self._thread = threading.Thread(target=self._look_again_and_again, name="stand-in", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._left.set()

    def _look_again_and_again(self) -> None:
        while not self._left.wait(EVERY):
            try:
                self._look()
            except DatabaseError as error:
                log.warning("beat could not stand in for the worker", why=str(error).strip())
            finally:
                close_old_connections()

    def _look(self) -> None:
        missing = [part for part in health.degradations(time.time()) if part != "beat"]
        if not missing:
            self._missing_since = 0.0
            return
        self._missing_since = self._missing_since or time.monotonic()
        if time.monotonic() - self._missing_since >= AFTER:
            log.warning("beat stands in for the worker", missing=missing)
            work(timezone.now(), missing[0])


def work(now: dt.datetime, missing: str) -> None:
    """What the worker would do, in the order of its urgency."""
    broken.tell_of_part(missing, now)
    escalating.run_due(now)
    watchdog.look(now)
    sending.send_due()
