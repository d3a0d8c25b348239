"""What the operators' routes take and give, as OpenAPI shows it."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import ConfigDict, Field, StringConstraints

from agents.api import schema as base
from agents.api.schema import EntryOut, Input, Reason

Path = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class FactsOut(Schema):
    """What happened since the checkpoint before."""

    failing: bool = Field(description="A counted failure was open.")
    verdicts: dict[str, int] = Field(description="pass, fail, unknown.")
    actions: int = Field(description="Actions that went well.")
    unverified: int = Field(description="Those of them without verify=.")
    checks: int = Field(description="State checks that passed.")
    moving: list[str] = Field(description="Files that went on changing: it is not of one moment.")


class CheckpointOut(Schema):
    id: uuid.UUID
    agent: str
    instance: str
    run: uuid.UUID
    parent: uuid.UUID | None
    at: dt.datetime
    received_at: dt.datetime
    label: str | None
    why: str
    standing: str
    proven_by: str | None = Field(description="verified, soak, human or start, of a good one.")
    judged_by: str | None
    reason: str | None = Field(description="Why it stands so.")
    pinned: bool
    root: str = Field(description="The name of the manifest, which covers all of it.")
    memory: str | None = Field(description="The name of the memory's tree.")
    workspace: str | None
    memory_length: int = Field(description="Bytes of JSON text.")
    files: int
    bytes: int = Field(description="Bytes of the workspace.")
    act: int = Field(description="The number of the last action.")
    last_action: str | None
    facts: FactsOut
    code: str
    sdk: str
    model: str
    tools: str
    notes: list[str]


class CheckpointsOut(Schema):
    checkpoints: list[CheckpointOut]
    next: str | None = Field(description="Pass it as `before` for the next page.")


class FileOut(Schema):
    """A file, a link, or a directory with nothing in it."""

    path: str = Field(description="What is no UTF-8 in it stands as its escapes.")
    kind: str = Field(description="file, executable, link or directory.")
    size: int | None
    name: str | None = Field(description="The name of its bytes' tree.")
    target: str | None = Field(description="Where a link leads.")


class FilesOut(Schema):
    files: list[FileOut]
    next: str | None = Field(description="Pass it as `before` for the next page.")


class JudgeIn(Input):
    standing: Literal["good", "suspect", "bad"]
    reason: Reason


class ScopeIn(Input):
    """What of the checkpoint is put back; `paths`: of the workspace only these, and not the memory.

    A part that has another name is refused: what was meant to be narrow must not become everything.
    """

    model_config = ConfigDict(extra="forbid")
    memory: bool = True
    workspace: bool = True
    paths: list[Path] | None = Field(None, min_length=1, max_length=100)


class RollbackIn(Input):
    checkpoint: Annotated[str, StringConstraints(max_length=100)] = Field(
        description="An id, or last_known_good."
    )
    reason: Reason
    scope: ScopeIn | None = None
    even_bad: bool = Field(False, description="The tick for a checkpoint that was condemned.")


class DecideIn(base.DecideIn):
    scope: ScopeIn | None = None
    even_bad: bool = False


class WithdrawRollbackIn(Input):
    reason: Annotated[str, StringConstraints(max_length=500)] = ""


class RollbackOut(Schema):
    id: uuid.UUID
    agent: str
    instance: str
    state: str = Field(
        description="ordered, taken, restoring, verified, failed, refused, withdrawn or overtaken."
    )
    checkpoint: uuid.UUID
    before: uuid.UUID | None = Field(description="The state just before: go there to undo it.")
    scope: dict[str, Any]
    goes_on: bool = Field(description="It lifts the pause that it decided about.")
    asked_by: str = Field(description="human, agent or verdict.")
    by: str
    reason: str | None
    incident: int | None
    ordered_at: dt.datetime
    began_at: dt.datetime | None
    ended_at: dt.datetime | None
    why: str | None = Field(description="Why it failed, or what is in its way.")
    kept: list[str] = Field(description="Hand edits that were kept aside.")
    condemned: int = Field(description="How many checkpoints became bad by it.")
    memory: str | None = Field(description="What the agent reported.")
    workspace: str | None


class RollbacksOut(Schema):
    rollbacks: list[RollbackOut]
    next: str | None


class OrderedOut(Schema):
    agent: str
    message: str
    remarks: list[str]
    rollbacks: list[RollbackOut]


class WithdrawnOut(Schema):
    message: str
    rollback: RollbackOut


class EffectOut(Schema):
    id: str
    agent: str
    instance: str
    name: str
    key: str | None
    at: dt.datetime
    ended_at: dt.datetime | None
    target: str | None = Field(description="The head of its input.")
    state: str = Field(description="begun, done, failed or unknown; begun and unknown may have happened.")
    verdict: str | None = Field(description="fail: it was done, and not as expected.")
    incident: int | None = Field(description="The one that asks whether it happened.")
    answer: str | None
    answered_by: str | None
    answered_at: dt.datetime | None
    answer_reason: str | None


class EffectsOut(Schema):
    effects: list[EffectOut]


class RollbackDetailOut(RollbackOut):
    effects: list[EffectOut]


class AnswerIn(Input):
    answer: Literal["accepted", "again", "happened", "did_not"]
    reason: Annotated[str, StringConstraints(max_length=500)] = ""


class AnsweredOut(Schema):
    message: str
    effect: EffectOut


class BriefOut(Schema):
    id: uuid.UUID
    at: dt.datetime
    label: str | None
    standing: str


class LostOut(Schema):
    """`entries` and `actions` stop counting at 10,000, the list of checkpoints at 200."""

    checkpoints: list[BriefOut]
    entries: int
    actions: int


class HandEditsOut(Schema):
    at: dt.datetime
    paths: list[str]
    more: int


class ChangedOut(Schema):
    what: str
    then: str
    now: str


class BlastOut(Schema):
    checkpoint: uuid.UUID
    agent: str
    instance: str
    at: dt.datetime
    standing: str
    label: str | None
    lost: LostOut
    effects: list[EffectOut]
    effects_in_all: int
    hand_edits: HandEditsOut | None
    changed: list[ChangedOut]
    remarks: list[str] = Field(description="What to know before; none of it stands in the way.")
    damaged: bool
    needs_even_bad: bool
    undo: bool = Field(description="It was kept just before a rollback.")
    shared_workspace: bool


class DiffOut(Schema):
    memory: list[dict[str, Any]] = Field(description="op, path, was where it differs, old, new.")
    workspace: list[dict[str, Any]]
    stats: dict[str, Any]


Op = Literal["equals", "is_not", "contains", "exists", "greater", "less", "longer", "as_in"]
Where = Literal["memory", "file"]
Policy = Literal["observe", "enforce"]
InstanceName = Annotated[str, Field(max_length=63, pattern=r"^[^\x00]*$")]


class BisectOut(Schema):
    check: str = Field(description="The check in words.")
    result: str = Field(description="found, newest_passes, oldest_fails, nothing or unknown.")
    message: str
    good: BriefOut | None = Field(description="The last that passes before it.")
    bad: BriefOut | None = Field(description="The first that fails.")
    looks: int = Field(description="How many were judged.")
    checkpoints: int = Field(description="How many there are.")
    skipped: list[uuid.UUID] = Field(description="Those that could not be judged.")


class WrongIn(Input):
    since: Annotated[str, StringConstraints(min_length=1, max_length=60)] = Field(
        description="The id of an entry or a checkpoint."
    )
    reason: Reason


class WrongOut(Schema):
    agent: str
    incident: int | None
    since: dt.datetime
    condemned: int
    last_known_good: uuid.UUID | None
    paused: list[str]
    already: list[str]
    effects: list[EffectOut]


class SinceOut(Schema):
    agent: str
    path: str
    where: Where
    asked: BriefOut = Field(description="The checkpoint whose state is meant.")
    there: bool = Field(description="Something stands there.")
    since: BriefOut = Field(description="From it on, without a break, it is so.")
    before: BriefOut | None = Field(description="The one before it, which has another.")
    bound: bool = Field(description="No more could be looked at: ask on with newest=since.id.")
    looked_at: int
    message: str
    actions: list[EntryOut] = Field(description="What was done between the two, newest first.")
    more_actions: bool


class WatchIn(Input):
    """The check, as *bisect* takes it. `enforce`: when it begins to fail, that is a failure that counts."""

    op: Op
    path: Annotated[str, StringConstraints(max_length=1000, strip_whitespace=True)] = ""
    value: Annotated[str, StringConstraints(max_length=1000)] = ""
    where: Where = "memory"
    policy: Policy = "observe"


class SeenOut(Schema):
    instance: str
    passes: bool | None = Field(description="null: its newest checkpoint could not be judged.")
    checkpoint: uuid.UUID = Field(description="The newest that was judged.")
    at: dt.datetime
    since: dt.datetime = Field(description="Since when it stands so.")


class WatchOut(Schema):
    id: int
    agent: str
    check: str = Field(description="The check in words.")
    op: Op
    path: str
    value: str
    where: Where
    policy: Policy
    on: bool
    by: str
    at: dt.datetime
    seen: list[SeenOut] = Field(description="How each instance stands.")


class WatchesOut(Schema):
    watches: list[WatchOut]


class TurnWatchIn(Input):
    on: bool


class WatchPolicyIn(Input):
    policy: Policy


class RemovedOut(Schema):
    message: str
