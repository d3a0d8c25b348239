"""Commands: what waits for an instance, and its receipts. A `wait` is served by live/poll instead."""

from __future__ import annotations

import uuid
from typing import Annotated, Literal

import msgspec
from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from agents.api import wire
from agents.services import epochs, lines, obeying
from agents.services.admission import NOT_FOUND, Refusal, unreadable, whole_number
from agents.services.lines import Epoch, Hex32, InstanceName

LONGEST = 16 * 1024
REFUSED = {
    "fenced": ("A newer process of this instance has started.", "Do not act; this process is outdated."),
    "taken": ("Another process has taken this command.", "Do not act."),
    "overtaken": (
        "This command was withdrawn, or a later decision has taken its place.",
        "Do not act; look again.",
    ),
    "unproven": (
        "This rollback has not been compared with its checkpoint.",
        "Report its progress with state applied and the hashes first, then this again.",
    ),
}


class Receipt(msgspec.Struct, frozen=True):
    process: Hex32
    state: Literal["taken", "done", "refused"]
    instance: InstanceName = "main"
    epoch: Epoch | None = 0
    why: Annotated[str, msgspec.Meta(max_length=10_000)] | None = None


@wire.agent_view
@require_GET
def waiting(request: wire.AgentRequest, agent: str) -> HttpResponse:
    instance = epochs.find(request.token.project_id, agent, request.GET.get("instance", "main"))
    epoch, after = whole_number(request.GET.get("epoch")), whole_number(request.GET.get("after"))
    return wire.answer(obeying.told(instance, epoch, after))


@wire.agent_view
@require_POST
def receipt(request: wire.AgentRequest, agent: str, command: uuid.UUID) -> HttpResponse:
    said = read(wire.body_of(request))
    taken = obeying.note(
        project_id=request.token.project_id,
        agent=agent,
        instance=said.instance,
        command_id=command,
        epoch=said.epoch or 0,
        process=said.process,
        state=said.state,
        why=said.why or "",
        now=timezone.now(),
    )
    if taken.error == "unknown":
        raise NOT_FOUND
    if taken.error:
        raise Refusal(409, taken.error, *REFUSED[taken.error])
    return wire.answer({"state": taken.state})


def read(body: bytes) -> Receipt:
    try:
        return msgspec.convert(lines.read(body, LONGEST, "body"), Receipt)
    except (lines.Refused, msgspec.ValidationError) as error:
        raise unreadable(f"This is no receipt: {error}") from error
