"""What the operators' routes take and give, as OpenAPI shows it."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import ConfigDict, Field, StringConstraints

INT8 = 2**63
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=500, strip_whitespace=True)]
Guidance = Annotated[str, StringConstraints(max_length=20_000)]
Version = Annotated[int, Field(strict=True, ge=-INT8, lt=INT8, description="The version you were shown.")]


class Problem(Schema):
    """Every error has these three fields."""

    error: str
    message: str
    what_to_do: str


class Conflict(Problem):
    version: int | None = Field(None, description="The incident's version now.")


class Budget(Schema):
    consecutive: int
    max_consecutive: int
    hourly: int
    max_hourly: int


class InstanceOut(Schema):
    name: str
    status: str
    status_since: dt.datetime
    epoch: int
    live: bool = Field(description="A process of it runs, as far as is known.")
    gone_since: dt.datetime | None
    last_seen: dt.datetime | None
    doing: str | None
    refused_starts: int
    host: str
    pid: int | None


class AgentOut(Schema):
    name: str
    status: str
    status_since: dt.datetime
    version: int
    epoch: int
    paused_by: str | None = Field(
        description="budget, detector, human or deploy; null when nothing holds it."
    )
    incident: int | None = Field(description="The incident that holds it.")
    budget: Budget
    last_known_good: uuid.UUID | None
    about: str
    owner: str
    runbook: str
    while_paused: str
    instances: list[InstanceOut]
    url: str


class AgentsOut(Schema):
    agents: list[AgentOut]
    next: str | None = Field(description="Pass it as `before` for the next page.")


class EntryOut(Schema):
    id: str
    kind: str
    at: dt.datetime
    received_at: dt.datetime
    name: str
    outcome: str | None
    verdict: str | None
    title: str
    run: uuid.UUID | None
    seq: int | None
    late: bool
    ref: str | None
    body: Any


class EntryDetailOut(EntryOut):
    agent: str


class EntriesOut(Schema):
    entries: list[EntryOut]
    next: str | None
    searched_to: dt.datetime | None = Field(description="How far back a text was sought, if not to the end.")


class PauseOut(Schema):
    id: uuid.UUID
    agent: str
    instance: str
    state: str
    owner: str
    cause: str
    in_flight: str | None
    at: dt.datetime
    settled_at: dt.datetime | None


class DecisionOut(Schema):
    agent: str
    instance: str
    decision: str
    version: int
    reason: str
    guidance: str | None
    probation: bool
    by: str
    at: dt.datetime
    withdrawn: bool = Field(description="Taken back before any run took it up.")


class IncidentOut(Schema):
    id: int
    version: int
    state: str
    cause: str
    title: str
    agents: list[str]
    failure_group: str | None
    opened_at: dt.datetime
    acknowledged_at: dt.datetime | None
    acknowledged_by: str | None
    decided_at: dt.datetime | None
    closed_at: dt.datetime | None
    pauses: list[PauseOut]
    url: str


class IncidentDetailOut(IncidentOut):
    decisions: list[DecisionOut]
    asked_for: ProposalOut | None = Field(None, description="What waits for a second person.")
    alerts: str = Field(description="Who was told, or that nobody has been.")


class IncidentsOut(Schema):
    incidents: list[IncidentOut]
    next: str | None


class Input(Schema):
    """Unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore")


class PauseIn(Input):
    reason: Reason


class PausedOut(Schema):
    agent: str
    incident: int | None
    paused: list[str] = Field(description="The instances that this pause holds.")
    already: list[str] = Field(description="The instances that something held before.")


class StartIn(Input):
    reason: Annotated[str, StringConstraints(max_length=500)] = ""
    guidance: Guidance | None = None


class AcknowledgedOut(Schema):
    id: int
    state: str
    version: int
    acknowledged_at: dt.datetime | None
    acknowledged_by: str | None


class DecideIn(Input):
    decision: Literal["resume", "rollback", "stop"]
    version: Version
    reason: Reason
    agents: list[Name] | None = Field(None, max_length=1000, description="Only these; all when absent.")
    guidance: Guidance | None = Field(None, description="What the agent is told: run.guidance.")
    checkpoint: Annotated[str, StringConstraints(max_length=100)] | None = None
    probation: bool = True


class TryIn(Input):
    agent: Name
    version: Version
    reason: Reason
    guidance: Guidance | None = None


class HoldIn(Input):
    reason: Reason
    everywhere: bool = Field(False, description="In every agent of the project, those to come included.")


class LiftIn(Input):
    reason: Reason


class HoldOut(Schema):
    id: int
    tool: str
    incident: int
    everywhere: bool
    agents: list[str] = Field(description="In which its calls wait; empty where that is everywhere.")
    reason: str
    by: str
    since: dt.datetime
    lifted_by: str | None
    lifted_at: dt.datetime | None


class HoldsOut(Schema):
    holds: list[HoldOut]


class WithdrawIn(Input):
    version: Version
    reason: Annotated[str, StringConstraints(max_length=500)] = ""


class ConfirmIn(Input):
    version: Version


class DeclineIn(Input):
    reason: Annotated[str, StringConstraints(max_length=500)] = ""


class ProposalOut(Schema):
    id: uuid.UUID
    decision: str
    version: int
    reason: str
    guidance: str | None
    probation: bool
    agents: list[str] | None = Field(description="Null: all that wait.")
    checkpoints: list[str] = Field(description="Where a rollback goes, one for each instance.")
    by: str
    at: dt.datetime
    lapses_at: dt.datetime
    state: str


class ResultOut(Schema):
    agent: str
    instance: str
    result: str
    taken_up: str


class DecidedOut(Schema):
    incident: int | None
    version: int
    message: str
    results: list[ResultOut]
    asked_for: ProposalOut | None = Field(None, description="What waits for a second person, with 202.")
