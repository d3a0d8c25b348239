"""The server's answers, as types: whatever does not fit is not believed.

Lists, texts and numbers are bounded here, so that a hostile or broken server costs the agent nothing.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

Whole = Annotated[int, Meta(ge=0, le=2**62)]
Text = Annotated[str, Meta(max_length=1000)]
Words = Annotated[str, Meta(max_length=65536)]
Seconds = Annotated[float, Meta(ge=0, le=1e9)]
Names = Annotated[list[Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]], Meta(max_length=100_000)]
Seqs = Annotated[list[Whole], Meta(max_length=2000)]


class PauseTold(Struct):
    """A pause that the server holds."""

    id: Text
    owner: Text
    cause: Annotated[str, Meta(max_length=10_000)] = ""
    incident: int | Text | None = None
    stopped: bool = False


class Merged(Struct):
    """The account with what only the server saw."""

    number: Whole
    added: Annotated[list[tuple[Text, Text, Seconds]], Meta(max_length=2000)] = []
    others: Annotated[list[tuple[Text, Seconds]], Meta(max_length=2000)] = []
    consecutive: Whole = 0
    hourly: Whole = 0


class HoldTold(Struct):
    """A tool whose calls wait."""

    tool: Annotated[str, Meta(max_length=200)]
    by: Text = ""
    reason: Text = ""
    since: float = 0.0


class Registered(Struct):
    """The answer to register; `epoch` None is a start refused because of `pause`."""

    epoch: Whole | None
    now: float
    pause: PauseTold | None = None
    account: Merged | None = None
    guidance: Words | None = None
    holds: Annotated[list[HoldTold], Meta(max_length=1000)] = []
    commands_version: Whole = 0
    beat_s: float = 20.0
    reconnect_max_s: float = 2.0


class Stored(Struct):
    """The answer to a batch; `ack` is the last number of it that the server has."""

    ack: Whole | None
    quarantined: Seqs = []
    conflicts: Seqs = []
    stored: Whole = 0
    duplicates: Whole = 0
    fenced: bool = False
    wait_ms: float = 0.0
    commands_version: Whole = 0
    account: Merged | None = None
    pause: PauseTold | None = None


class Command(Struct):
    """What the server asks of this instance."""

    id: Text
    version: Whole
    kind: Text
    payload: dict[str, Any] = {}
    ordered_at: float | str | None = None


class Commands(Struct):
    """The commands that wait."""

    commands: Annotated[list[Command], Meta(max_length=1000)]
    commands_version: Whole = 0
    fenced: bool = False


class Receipt(Struct):
    """The answer to a receipt."""

    state: Text


class Missing(Struct):
    """Which nodes the server has not."""

    missing: Names


class Staged(Struct):
    """The answer to a part of an upload."""

    stored: Whole


class Kept(Struct):
    """The answer to a checkpoint."""

    id: Text
    standing: Text


class Told(Struct):
    """A checkpoint, as the server has it."""

    id: Text
    memory: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")] | None
    workspace: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")] | None
    standing: Text
    at: float
    label: Text | None = None


class Progress(Struct):
    """The answer to the progress of a rollback."""

    state: Text = ""
    verified: bool = False


class Edited(Struct):
    """The answer to hand edits."""

    kept: Whole = 0


class Fault(Struct):
    """Any error of the server."""

    error: Text
    message: Words = ""
    what_to_do: Words = ""
    missing: Names = []


def plain(answer: Struct | None) -> Any:
    """The answer as dicts and lists."""
    return None if answer is None else msgspec.to_builtins(answer)
