"""How much of a budget is spent at a moment: read from the account that the agent's last snapshot left.

The hour rolls while nothing is written, so the count of the hour is worked out from the failures' times
whenever it is shown; the streak moves only with the agent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agents.models import Agent, Instance
from sickbay.budget import HOUR, PROBATION_ACTIONS


@dataclass(frozen=True, slots=True)
class Spent:
    """Failures in a row and this hour, beside their limits."""

    consecutive: int
    max_consecutive: int
    hourly: int
    max_hourly: int

    @property
    def untouched(self) -> bool:
        return self.consecutive == 0 and self.hourly == 0


def of_agent(agent: Agent, instances: Iterable[Instance], now: datetime) -> Spent:
    """The streak of the worst instance, and the hour of the fullest: the larger holds."""
    instances = list(instances)
    return Spent(
        consecutive=max((i.consecutive for i in instances), default=0),
        max_consecutive=agent.max_consecutive,
        hourly=max((hourly(i, now) for i in instances), default=0),
        max_hourly=agent.max_hourly,
    )


def hourly(instance: Instance, now: datetime) -> int:
    """The failures of the hour before `now`, of this instance and of what it knows of the others."""
    seconds = now.timestamp()
    return sum(1 for at in _times(instance.account).values() if seconds - at < HOUR)


def probation_done(instance: Instance) -> tuple[int, int] | None:
    """Actions proven since the resume, of how many; None when not on probation."""
    probation = (instance.account.get("wire") or {}).get("probation")
    if not isinstance(probation, dict):
        return None
    left = min(PROBATION_ACTIONS, max(0, int(probation.get("actions", 0))))
    return PROBATION_ACTIONS - left, PROBATION_ACTIONS


def _times(account: dict[str, Any]) -> dict[str, float]:
    """When each failure of the account happened, by id."""
    wire, seen_at = account.get("wire") or {}, float(account.get("at") or 0)
    times = {id: seen_at - age for id, age in [*wire.get("hour", ()), *wire.get("others", ())]}
    return times | {id: at for id, _, at in account.get("added", ())}
