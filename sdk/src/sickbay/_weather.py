"""Blocked: nothing but transient failures, for ten minutes or twenty attempts.

That is weather, not sickness: the budget is untouched, nothing is paused, and the first success ends it.
"""

from __future__ import annotations

ATTEMPTS = 20
SECONDS = 600.0


class Weather:
    """The transient failures since the last thing that was none. Used under the ledger's lock."""

    def __init__(self) -> None:
        self.blocked = False
        self._attempts = 0
        self._since = 0.0

    def failed(self, now: float) -> bool:
        """One more transient failure; True when this makes it blocked."""
        if not self._attempts:
            self._since = now
        self._attempts += 1
        if self.blocked or (self._attempts < ATTEMPTS and now - self._since < SECONDS):
            return False
        self.blocked = True
        return True

    def counted(self) -> None:
        """A failure that counts: what came before was not only weather."""
        if not self.blocked:
            self._attempts = 0

    def cleared(self) -> bool:
        """A success; True when it ends a block."""
        was = self.blocked
        self.blocked, self._attempts = False, 0
        return was

    def sentence(self, name: str, now: float) -> str:
        minutes = int((now - self._since) // 60)
        return f"{self._attempts} transient failures of {name} in {minutes} min and no success"
