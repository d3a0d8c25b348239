"""POST /api/v1/agents/register/: a process starts, or learns what holds it."""

from __future__ import annotations

import msgspec
from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_POST

from agents.api import wire
from agents.services import lines, registering
from agents.services.admission import unreadable

LONGEST = 256 * 1024


@wire.agent_view
@require_POST
def register(request: wire.AgentRequest) -> HttpResponse:
    said = registration(wire.body_of(request))
    try:
        told = registering.register(project_id=request.token.project_id, said=said, now=timezone.now())
    except ValueError as error:
        raise unreadable(str(error)) from error
    return wire.answer(told)


def registration(body: bytes) -> registering.Registration:
    try:
        return msgspec.convert(lines.read(body, LONGEST), registering.Registration)
    except (lines.Refused, msgspec.ValidationError) as error:
        raise unreadable(f"This is no registration: {error}") from error
