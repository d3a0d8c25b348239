"""POST /api/v1/agents/register/: a process starts, or learns what holds it."""

from __future__ import annotations

import msgspec
from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_POST

from agents.api import wire
from agents.services import lines, refused, registering
from agents.services.admission import unreadable

LONGEST = 256 * 1024
NO_REGISTRATION = "This is no registration: "


@wire.agent_view
@require_POST
def register(request: wire.AgentRequest) -> HttpResponse:
    body = wire.body_of(request)
    try:
        said = registration(body)
        told = registering.register(project_id=request.token.project_id, said=said, now=timezone.now())
    except ValueError as error:
        why = str(error)
        said_of = why.removeprefix(NO_REGISTRATION)
        refused.note(project_id=request.token.project_id, body=body, why=said_of, now=timezone.now())
        raise unreadable(why) from error
    return wire.answer(told)


def registration(body: bytes) -> registering.Registration:
    try:
        return msgspec.convert(lines.read(body, LONGEST, "body"), registering.Registration)
    except (lines.Refused, msgspec.ValidationError) as error:
        raise ValueError(f"{NO_REGISTRATION}{error}") from error
