"""How long to wait after a failure: full jitter, so that a fleet does not come back as one."""

from __future__ import annotations

import random
from collections.abc import Callable

FIRST, CALM, LONGEST = 0.25, 2.0, 60.0
PATIENT_TRIES = 5


class Pacing:
    """Waits between zero and a limit that grows from 0.25 s, stays a while at `calm`, then doubles to 60 s.

    `calm` is max(2 s, what the server said its fleet needs to come back).
    """

    def __init__(self, random: Callable[[], float] = random.random) -> None:
        self.calm = CALM
        self.failures = 0
        self._random = random

    def failed(self) -> float:
        """How long to wait now that it failed once more."""
        self.failures += 1
        return self.limit * self._random()

    @property
    def limit(self) -> float:
        if self.failures <= PATIENT_TRIES:
            return min(self.calm, FIRST * 2.0**self.failures) if self.calm <= CALM else self.calm
        return float(min(LONGEST, self.calm * 2.0 ** min(20, self.failures - PATIENT_TRIES)))

    def worked(self) -> None:
        self.failures = 0

    def told(self, reconnect_max_s: float) -> None:
        """What the server said: the seconds over which its fleet may come back."""
        self.calm = min(LONGEST, max(CALM, reconnect_max_s))
