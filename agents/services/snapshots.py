"""An agent's state snapshot as it travels, checked and bounded at the door.

A snapshot says what the agent is, what it does, which pause holds it, which command it obeyed last and
what its budget has spent. Times are the agent's own; `corrected` makes them the server's.
"""

from __future__ import annotations

import datetime as dt
import math
import uuid
from typing import Annotated, Any, Literal

import msgspec

Said = Literal[
    "running", "pausing", "paused", "stopped", "healing", "probation", "blocked", "idle", "restoring"
]
Line = Annotated[str, msgspec.Meta(max_length=20_000)]
Tool = Annotated[str, msgspec.Meta(max_length=200, pattern="^[^\\x00]*$")]
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


class WhatFailed(msgspec.Struct, frozen=True):
    """As much of the failure that spent the budget as says which sickness it is."""

    name: Line
    failure: Line = "error"
    exception: Line | None = None
    message: Line | None = None
    fingerprint: Line | None = None


class PauseSaid(msgspec.Struct, frozen=True):
    """The pause that the agent's own machine holds."""

    id: uuid.UUID
    owner: Literal["budget", "detector", "human", "deploy"]
    cause: Line = ""
    at: float | None = None
    limit: str | None = None
    failure: Line | None = None
    what: WhatFailed | None = None
    in_flight: list[Line] = []
    stopped: bool = False
    asks: bool = False


class SettledSaid(msgspec.Struct, frozen=True):
    """The last command by which a pause ended, as this agent obeyed it."""

    pause: uuid.UUID
    command: uuid.UUID
    verb: Literal["resume", "stop", "start", "rollback"]
    at: float | None = None


class State(msgspec.Struct, frozen=True):
    """`living` is false where another program sends what a dead process left."""

    status: Said
    living: bool = True
    since: float | None = None
    doing: Line | None = None
    doing_since: float | None = None
    pause: PauseSaid | None = None
    settled: SettledSaid | None = None
    account: dict[str, Any] | None = None
    held: Annotated[dict[Tool, Count], msgspec.Meta(max_length=100)] | None = None


def read(raw: object) -> State:
    """The snapshot in a header line; ValueError says where it is none."""
    try:
        return msgspec.convert(raw, State)
    except msgspec.ValidationError as error:
        raise ValueError(f"this is no state snapshot: {error}") from error


def corrected(said: float | None, offset_s: float, now: dt.datetime) -> dt.datetime:
    """The agent's time on the server's clock: never after now, never more than a year before it."""
    if said is None or not math.isfinite(said):
        return now
    age = now.timestamp() - (said + offset_s)
    if not 0 <= age < 366 * 86400:
        return now
    return now - dt.timedelta(seconds=age)


def text(value: str | None, limit: int) -> str:
    """Text that Postgres takes, cut to what its column holds."""
    clean = (value or "").replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"
