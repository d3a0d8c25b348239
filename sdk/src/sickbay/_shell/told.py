"""What the operators' routes tell, as far as commands use it; whatever does not fit is not believed."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from msgspec import Meta, Struct

from sickbay._answers import Text, Whole, Words

Id = Annotated[str, Meta(pattern="^[0-9a-f-]{32,36}$")]
Moment = Annotated[dt.datetime, Meta(tz=True)]
Notes = Annotated[list[Words], Meta(max_length=10_000)]


class Checkpoint(Struct):
    id: Id
    agent: Text
    instance: Text
    at: Moment
    standing: Text
    parent: Id | None = None
    run: Text = ""
    label: Words | None = None
    why: Text = ""
    proven_by: Text | None = None
    judged_by: Words | None = None
    reason: Words | None = None
    pinned: bool = False
    memory: Text | None = None
    workspace: Text | None = None
    memory_length: Whole = 0
    files: Whole = 0
    bytes: Whole = 0
    act: Whole = 0
    last_action: Words | None = None
    code: Words = ""
    sdk: Words = ""
    model: Words = ""
    tools: Words = ""
    notes: Notes = []


class Agent(Struct):
    name: Text
    status: Text
    last_known_good: Id | None = None
    incident: int | None = None
    url: Words = ""


class Entry(Struct):
    id: Text
    kind: Text
    at: Moment
    name: Words = ""
    outcome: Text | None = None
    verdict: Text | None = None
    title: Words = ""
    ref: Text | None = None
    agent: Text = ""
    body: Any = None


class Brief(Struct):
    """A checkpoint in a few words."""

    id: Id
    at: Moment
    standing: Text
    label: Words | None = None


class Since(Struct):
    there: bool
    since: Brief
    looked_at: Whole
    message: Words
    before: Brief | None = None
    bound: bool = False
    actions: Annotated[list[Entry], Meta(max_length=10_000)] = []
    more_actions: bool = False


class Rollback(Struct):
    id: Id
    instance: Text
    state: Text
    checkpoint: Id
    before: Id | None = None
    why: Words | None = None
    kept: Notes = []
    condemned: Whole = 0


class Ordered(Struct):
    message: Words
    rollbacks: Annotated[list[Rollback], Meta(max_length=10_000)]
    remarks: Notes = []


class Withdrawn(Struct):
    message: Words


class Lost(Struct):
    checkpoints: Annotated[list[dict[str, Any]], Meta(max_length=10_000)] = []
    entries: Whole = 0
    actions: Whole = 0


class Effect(Struct):
    name: Words
    at: Moment
    state: Text
    key: Words | None = None
    target: Words | None = None


class Blast(Struct):
    checkpoint: Id
    agent: Text
    lost: Lost
    effects: Annotated[list[Effect], Meta(max_length=10_000)] = []
    effects_in_all: Whole = 0
    remarks: Notes = []
    damaged: bool = False
    needs_even_bad: bool = False
    undo: bool = False
    shared_workspace: bool = False


class Side(Struct):
    """A file on one side of a difference."""

    kind: Text
    size: Whole = 0
    name: Text = ""
    target: Words = ""


class FileChange(Struct):
    op: Text
    path: Words
    was: Words | None = None
    old: Side | None = None
    new: Side | None = None


class ValueChange(Struct):
    op: Text
    path: Annotated[list[str | int], Meta(max_length=1_000)]
    was: Annotated[list[str | int], Meta(max_length=1_000)] | None = None
    old: Any = None
    new: Any = None
    old_not_shown: Words | None = None
    new_not_shown: Words | None = None


class Stats(Struct):
    complete: bool = True
    said: Notes = []


class Diff(Struct):
    memory: Annotated[list[ValueChange], Meta(max_length=100_000)]
    workspace: Annotated[list[FileChange], Meta(max_length=100_000)]
    stats: Stats
