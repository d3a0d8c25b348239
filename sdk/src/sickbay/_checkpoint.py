"""What `run.checkpoint()` and a rollback tell the agent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that was taken: memory and workspace of one moment.

    Attributes:
        id: names it, for `run.rollback(to=…)` and on the agent's page. Empty when none could be taken: the
            agent goes on, and the timeline says so.
        standing: good, unproven or suspect, as far as this machine can tell when it is taken; refused when
            none could be.
        label: what you called it, or None.
        at: when, in seconds since the epoch.
        reason: why none could be taken; else empty.
    """

    id: str
    standing: str
    label: str | None
    at: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RolledBack:
    """That this agent was rolled back; so that a model can be told.

    Attributes:
        before: the id of the checkpoint of the state just before.
        to: the id of the checkpoint that was restored.
        by: who wanted it: a person's name, "supervise" for healing, or the agent's own name.
        why: the reason that was given.
        at: when, in seconds since the epoch.
        effects: what reached the outside world since that checkpoint and stays as it is: dicts with `name`,
            `key`, `input`, `state` and `at`.
    """

    before: str | None
    to: str
    by: str
    why: str
    at: float
    effects: list[dict[str, Any]] = field(default_factory=list)
