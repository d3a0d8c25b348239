"""What a checkpoint is made of, until it is packed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sickbay._mind import Since


@dataclass(slots=True)
class Moment:
    """What a checkpoint is made of, of one time."""

    why: str
    label: str | None
    at: float
    text: bytes
    facts: dict[str, Any]
    act: int
    last_action: str | None
    seq: int  # the run's events up to here came before
    since: Since
