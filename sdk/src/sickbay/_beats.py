"""What the agent's heartbeat says: a number, what is being done, and since when."""

from __future__ import annotations

from typing import Any

from sickbay._clock import Clock


class Beats:
    """The beats of one link."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._doing: tuple[str | None, float] = (None, 0.0)
        self._count = 0

    def doing(self, text: str | None) -> None:
        """What the next beat says."""
        self._doing = (text, self._clock.wall())

    def next(self) -> dict[str, Any]:
        self._count += 1
        doing, since = self._doing
        return {"seq": self._count, "doing": doing and doing[:200], "since": since or None}
