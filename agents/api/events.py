"""POST /api/v1/events/: a run's events, line by line."""

from __future__ import annotations

import threading
from dataclasses import asdict

from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_POST

from agents.api import wire
from agents.services import ingest, lines, sequences
from agents.services.admission import unreadable

QUEUE_BEFORE_WAIT = 4
WAIT_EACH_MS = 25
LONGEST_WAIT_MS = 2_000
_busy = 0
_lock = threading.Lock()


@wire.agent_view
@require_POST
def events(request: wire.AgentRequest) -> HttpResponse:
    header, raw = batch(wire.body_of(request))
    wait_ms = _enter()
    try:
        taken = ingest.take(project_id=request.token.project_id, header=header, raw=raw, now=timezone.now())
    except sequences.TooManyGaps as error:
        raise unreadable(str(error)) from error
    finally:
        _leave()
    taken.wait_ms = wait_ms
    return wire.answer(asdict(taken), 409 if taken.conflicts else 200)


def batch(body: bytes) -> tuple[lines.Header, list[bytes]]:
    """The header and the event lines, which must be as many as it says: a cut-off body is no batch."""
    first, *raw = body.removesuffix(b"\n").split(b"\n")
    try:
        header = lines.header(first)
    except lines.Refused as error:
        raise unreadable(f"Line 1 is no header: {error}") from error
    if len(raw) != header.n:
        raise unreadable(f"The header says {header.n} events, the body has {len(raw)}.")
    return header, raw


def _enter() -> int:
    """How long senders should wait before their next batch: nothing, unless many are being stored now."""
    global _busy
    with _lock:
        _busy += 1
        return min(LONGEST_WAIT_MS, WAIT_EACH_MS * max(0, _busy - QUEUE_BEFORE_WAIT))


def _leave() -> None:
    global _busy
    with _lock:
        _busy -= 1
