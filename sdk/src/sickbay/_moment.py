"""What a checkpoint is made of, until it is packed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sickbay._mind import Since

NAMED = 20  # files that went on changing


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

    def moved(self, paths: tuple[str, ...]) -> None:
        """Its files are not all of this moment: these went on changing. At most 20 are named."""
        from sickbay._workspace import shown

        if paths:
            few = paths if len(paths) <= NAMED else paths[: NAMED - 1]
            more = [f"{len(paths) - len(few):,} others"] if len(few) < len(paths) else []
            self.facts["moving"] = [*map(shown, few), *more]
