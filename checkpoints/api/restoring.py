"""The agents' door to rollbacks: how far one has come, and what was changed by hand."""

from __future__ import annotations

import uuid
from typing import Any, TypeVar

import msgspec
from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_POST

from agents.api import wire
from agents.services import lines
from agents.services.admission import NOT_FOUND, Refusal, unreadable
from checkpoints.api import door
from checkpoints.models import Rollback
from checkpoints.services import restoring

S = TypeVar("S", bound=msgspec.Struct)
LONGEST = 1024 * 1024
NO_MORE = "Do not act."
REFUSED = {
    "fenced": ("A newer process of this instance has started.", "Do not act; this process is outdated."),
    "taken": ("Another process has taken this rollback.", NO_MORE),
    "not_taken": ("Nobody has taken the command of this rollback.", "Send its receipt `taken` first."),
    "overtaken": ("This rollback was withdrawn, refused or overtaken.", NO_MORE),
    "no_checkpoint": (
        "The agent has no such checkpoint on this server.",
        "Send the checkpoint, then this again.",
    ),
}


@door.checkpoint_view
@require_POST
def progress(request: wire.AgentRequest, agent: str, id: uuid.UUID) -> HttpResponse:
    said = _read(wire.body_of(request), restoring.Said, "progress")
    process = request.GET.get("process", "")
    try:
        row = restoring.progress(door.writer_of(request, agent), id, process, said, timezone.now())
    except restoring.Unacceptable as error:
        raise _refusal(error) from error
    return wire.answer(_told(row))


@door.checkpoint_view
@require_POST
def edits(request: wire.AgentRequest, agent: str) -> HttpResponse:
    said = _read(wire.body_of(request), restoring.EditsSaid, "list of edits")
    try:
        restoring.edited(door.writer_of(request, agent), said, timezone.now())
    except restoring.Unacceptable as error:
        raise _refusal(error) from error
    return wire.answer({"kept": len(said.paths)})


def _told(row: Rollback) -> dict[str, Any]:
    return {"state": row.state, "verified": row.state == Rollback.State.VERIFIED, "why": row.why or None}


def _refusal(error: restoring.Unacceptable) -> Refusal:
    return NOT_FOUND if error.name == "unknown" else Refusal(409, error.name, *REFUSED[error.name])


def _read(body: bytes, what: type[S], named: str) -> S:
    try:
        return msgspec.convert(lines.read(body, LONGEST, "body"), what)
    except (lines.Refused, msgspec.ValidationError) as error:
        raise unreadable(f"This is no {named}: {error}") from error
