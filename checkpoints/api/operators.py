"""The operators' routes to checkpoints, beside those of agents/api/operators.

The list of an agent's checkpoints has the address to which agents post theirs, so that method is routed here.
"""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from pydantic import Field

from agents.api import answers, problems
from agents.api.operators import CHANGED, REFUSED, Limit, actor_of, agent_of, allowed, api
from checkpoints import queries
from checkpoints.api import door, schema
from checkpoints.models import Checkpoint
from checkpoints.services import standing

Named = Literal["good", "unproven", "suspect", "bad"]


@api.post("agents/{name}/checkpoints/", auth=None, include_in_schema=False)
def take(request: HttpRequest, name: str) -> HttpResponse:
    return door.take(request, name)


@api.get("agents/{name}/checkpoints/", response={200: schema.CheckpointsOut, **REFUSED}, tags=["checkpoints"])
def list_checkpoints(
    request: HttpRequest,
    name: str,
    limit: Limit = 100,
    before: Annotated[str, Field(max_length=60)] | None = None,
    standing: Named | None = None,
) -> Any:
    """The newest first."""
    found = agent_of(request, name)
    place = queries.key(before) if before else None
    if before and place is None:
        raise problems.Problem(
            422, "invalid", "before: it is no `next` of this list.", "Pass `next` as it is."
        )
    rows = queries.listed(found.pk, before=place, limit=limit, standing=standing)
    shown, following = answers.page(rows, limit, lambda row: str(queries.Key(row.at, row.pk)))
    return {"checkpoints": [_shown(row, found.name) for row in shown], "next": following}


@api.get("checkpoints/", response={200: schema.CheckpointsOut, **REFUSED}, tags=["checkpoints"])
def find_checkpoints(
    request: HttpRequest,
    prefix: Annotated[str, Field(min_length=4, max_length=36, pattern="^[0-9a-f]{4}[0-9a-f-]*$")],
    limit: Limit = 100,
) -> Any:
    """Those whose id begins so, of all agents, in the order of ids; `next` is always null."""
    rows = queries.beginning_with(actor_of(request).project_id, prefix, limit)
    return {"checkpoints": [_shown(row, row.agent.name) for row in rows], "next": None}


@api.get("checkpoints/{uuid:id}/", response={200: schema.CheckpointOut, **REFUSED}, tags=["checkpoints"])
def one_checkpoint(request: HttpRequest, id: uuid.UUID) -> Any:
    found = checkpoint_of(request, id)
    return _shown(found, found.agent.name)


@api.post(
    "checkpoints/{uuid:id}/judge/", response={200: schema.CheckpointOut, **CHANGED}, tags=["checkpoints"]
)
def judge_checkpoint(request: HttpRequest, id: uuid.UUID, said: schema.JudgeIn) -> Any:
    """Say how it stands, and why. A damaged one cannot be called good."""
    found = checkpoint_of(request, id, "decide")
    judged = standing.judge(
        actor=actor_of(request),
        checkpoint=found,
        verdict=said.standing,
        reason=said.reason,
        now=timezone.now(),
    )
    if judged.name == "damaged":
        raise problems.Problem(
            409, "damaged", f"It cannot be good: {judged.checkpoint.reason}.", "Choose another checkpoint."
        )
    return _shown(judged.checkpoint, found.agent.name)


def checkpoint_of(request: HttpRequest, id: uuid.UUID, verb: str = "view") -> Checkpoint:
    found = queries.one(actor_of(request).project_id, id)
    if found is None:
        raise problems.not_found("checkpoint")
    allowed(request, verb, found)
    return found


def _shown(found: Checkpoint, agent: str) -> dict[str, Any]:
    by = found.dependencies
    return {
        "id": found.pk, "agent": agent, "instance": found.instance.name, "run": found.run_id,
        "parent": found.parent, "at": found.at, "received_at": found.received_at,
        "label": found.label or None, "why": found.why, "standing": found.standing,
        "proven_by": found.proven_by or None, "judged_by": found.judged_by or None,
        "reason": found.reason or None, "pinned": found.pinned, "root": bytes(found.root).hex(),
        "memory": _hex(found.memory), "workspace": _hex(found.workspace),
        "memory_length": found.memory_length, "files": found.files, "bytes": found.bytes, "act": found.act,
        "last_action": found.last_action or None, "facts": found.facts, "code": by.code, "sdk": by.sdk,
        "model": by.model, "tools": by.tools, "notes": found.notes or [],
    }  # fmt: skip


def _hex(name: bytes | None) -> str | None:
    return bytes(name).hex() if name is not None else None
