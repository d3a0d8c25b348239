"""What the operators' routes take and give, as OpenAPI shows it."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Literal

from ninja import Schema
from pydantic import Field

from agents.api.schema import Input, Reason


class FactsOut(Schema):
    """What happened since the checkpoint before."""

    failing: bool = Field(description="A counted failure was open.")
    verdicts: dict[str, int] = Field(description="pass, fail, unknown.")
    actions: int = Field(description="Actions that went well.")
    unverified: int = Field(description="Those of them without verify=.")
    checks: int = Field(description="State checks that passed.")


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


class JudgeIn(Input):
    standing: Literal["good", "suspect", "bad"]
    reason: Reason
