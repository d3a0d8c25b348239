"""Lines the server would not have, kept aside: a conflict, or a line refused for itself.

They are written to `aside.ndjson` beside the spool (up to 1 MB, then only counted), and a signal says so, at
most once a minute.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Any

from sickbay._clock import Clock
from sickbay._lines import dumps
from sickbay._spool import Batch

BOUND = 1024 * 1024
SIGNAL_EVERY = 60.0
log = logging.getLogger("sickbay")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


class Aside:
    """The file and the counts. Used by the sender alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.conflicts = self.refused = self.quarantined = 0
        self._untold = 0
        self._next_signal = 0.0

    def put(self, why: str, batch: Batch, seqs: set[int]) -> None:
        lines = [(seq, line) for seq, line in enumerate(batch.lines, batch.first) if seq in seqs]
        if not lines:
            return
        if why == "conflict":
            self.conflicts += len(lines)
        else:
            self.refused += len(lines)
        self._untold += len(lines)
        try:
            with open(self._path, "ab", opener=_private) as file:
                for seq, line in lines:
                    if file.tell() < BOUND:
                        shown = line.decode("utf-8", "replace")
                        file.write(dumps({"why": why, "run": batch.run, "seq": seq, "line": shown}) + b"\n")
        except OSError as error:
            log.warning("sickbay: %d lines could not be set aside: %s", len(lines), error)

    def signal(self, clock: Clock) -> dict[str, Any] | None:
        """The event that tells how many were set aside since the last one; None when there is nothing new."""
        now = time.monotonic()
        if not self._untold or now < self._next_signal:
            return None
        count, self._untold, self._next_signal = self._untold, 0, now + SIGNAL_EVERY
        return {
            "kind": "signal",
            "at": clock.wall(),
            "name": "spool",
            "level": "warn",
            "title": f"{count} events were not accepted by the server and are kept in {self._path.name}",
            "set_aside": count,
        }
