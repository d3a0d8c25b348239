"""Who speaks: what register tells the server about an agent, its process and its host."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sickbay.budget import Budget


def unregistered(agent: str) -> str:
    """What it means that a server refused to register this agent, and what to do."""
    return (
        f"So it shows nothing of {agent}, which goes on by itself: correct what is named there in Agent(…), "
        "or bring the SDK and the server to the same version, and start it again"
    )


@dataclass(frozen=True, slots=True)
class Identity:
    """One process of one instance. `process` is 32 hex digits, the same as long as the process lives.

    `beat` False: the host freezes between calls; nothing listens, and silence alarms nobody.
    """

    agent: str
    instance: str
    process: str
    host: str = ""
    pid: int = 0
    boot: str = ""
    sdk: str = ""
    python: str = ""
    code_version: str | None = None
    about: str | None = None
    owner: str | None = None
    runbook: str | None = None
    while_paused: str | None = None
    every_s: float | None = None
    grace_s: float | None = None
    heal: bool = True
    shared_workspace: bool = False
    beat: bool = True
    budget: Budget = field(default_factory=Budget)

    def wire(self) -> dict[str, Any]:
        body = {name: getattr(self, name) for name in self.__slots__}
        limits = {"max_consecutive": self.budget.max_consecutive, "max_hourly": self.budget.max_hourly}
        return {**body, "budget": limits}
