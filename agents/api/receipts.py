"""Commands: what waits for an instance, and its receipts. A `wait` is served by live/poll instead."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal

import msgspec
from django.db import transaction
from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from agents.api import wire
from agents.services import commands, epochs, lines, settling
from agents.services.lines import Epoch, Hex32, InstanceName

LONGEST = 16 * 1024
REFUSED = {
    "fenced": ("A newer process of this instance has started.", "Do not act; this process is outdated."),
    "taken": ("Another process has taken this command.", "Do not act."),
    "overtaken": ("A later decision has taken the place of this command.", "Do not act; look again."),
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
    epoch, after = number(request.GET.get("epoch")), number(request.GET.get("after"))
    return wire.answer(told(instance, epoch, after))


@wire.agent_view
@require_POST
def receipt(request: wire.AgentRequest, agent: str, command: uuid.UUID) -> HttpResponse:
    said = read(wire.body_of(request))
    with transaction.atomic():
        instance = epochs.lock(request.token.project_id, agent, said.instance)
        epoch = instance.epoch if epochs.may_obey(instance, said.epoch or 0) else (said.epoch or 0)
        now = timezone.now()
        taken = commands.receipt(
            instance=instance,
            command_id=command,
            epoch=epoch,
            process=said.process,
            state=said.state,
            why=said.why or "",
            now=now,
        )
        if taken.ok and said.state == "done" and taken.command is not None:
            settling.settle(taken.command, now)
    if taken.error == "unknown":
        raise wire.NOT_FOUND
    if taken.error:
        raise wire.Refusal(409, taken.error, *REFUSED[taken.error])
    return wire.answer({"state": taken.state})


def told(instance: Any, epoch: int, after: int) -> dict[str, Any]:
    """The commands that wait; none for a writer that has been replaced."""
    fenced = not epochs.may_obey(instance, epoch)
    waiting = [] if fenced else commands.waiting(instance, after)
    return {"commands": waiting, "commands_version": instance.commands_version, "fenced": fenced}


def read(body: bytes) -> Receipt:
    try:
        return msgspec.convert(lines.read(body, LONGEST), Receipt)
    except (lines.Refused, msgspec.ValidationError) as error:
        raise wire.unreadable(f"This is no receipt: {error}") from error


def number(text: str | None) -> int:
    """A whole number of a query string; 0 when absent."""
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise wire.unreadable("epoch and after are whole numbers.")
    return int(text)
