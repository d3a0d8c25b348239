"""How a checkpoint stands, and what it is called, in words."""

from __future__ import annotations

from dataclasses import dataclass

from checkpoints.models import Checkpoint, ProvenBy, Why
from dashboard import phrasing

PROVEN = {
    ProvenBy.VERIFIED: "good, verified",
    ProvenBy.SOAK: "good, by time",
    ProvenBy.HUMAN: "good, by hand",
    ProvenBy.START: "good, the first",
}
WHY = {
    Why.ASKED: "Asked for by the agent",
    Why.EVERY: "Taken at intervals",
    Why.EFFECT: "Before an external action",
    Why.ROLLBACK: "Before a rollback",
    Why.START: "At the start of a run",
    Why.END: "At the end of a run",
    Why.PAUSE: "When it paused",
    Why.JUDGED: "After a verdict",
}


NAMED = 4  # files that went on changing


@dataclass(frozen=True, slots=True)
class Named:
    """A checkpoint as pickers and lines name it."""

    checkpoint: Checkpoint
    href: str = ""

    @property
    def standing(self) -> str:
        return standing(self.checkpoint)

    @property
    def called(self) -> str:
        return self.checkpoint.label or why(self.checkpoint)

    @property
    def short(self) -> str:
        return short(self.checkpoint)

    @property
    def size(self) -> str:
        return size(self.checkpoint)


def standing(found: Checkpoint) -> str:
    return PROVEN.get(ProvenBy(found.proven_by), "") if found.proven_by in ProvenBy.values else found.standing


def moment(found: Checkpoint) -> str:
    """What went on changing while it was taken; nothing when it is of one moment."""
    names = [str(name) for name in found.moving] if isinstance(found.moving, list) else []
    if not names:
        return ""
    more = len(names) - NAMED
    shown = ", ".join(names if more <= 1 else names[:NAMED])
    others = f" and {more:,} others" if more > 1 else ""
    return f"not of one moment: {shown}{others} went on changing while it was taken"


def why(found: Checkpoint) -> str:
    return WHY.get(Why(found.why), "") if found.why in Why.values else found.why


def short(found: Checkpoint) -> str:
    return f"c-{found.pk.hex[:6]}"


def size(found: Checkpoint) -> str:
    return phrasing.size(found.memory_length + found.bytes)
