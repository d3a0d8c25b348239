"""The agents' door to checkpoints: which nodes are missing, uploads, and reading back."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

import msgspec
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from agents.api import wire
from agents.models import Instance
from agents.services import epochs, lines
from agents.services.admission import NOT_FOUND, Refusal, unreadable, whole_number
from checkpoints import queries, store
from checkpoints.measuring import TooMuch
from checkpoints.models import Checkpoint
from checkpoints.services import admitting, taking
from sickbay.tree import pack, record
from sickbay.tree.node import HASH, BadNode
from sickbay.tree.read import Damaged
from sickbay.tree.record import Record

P = ParamSpec("P")
MOST_ASKED = 50_000
MOST_READ = 2_000
LONGEST_READ = 32 * 1024 * 1024
LONGEST_HEADER = 64 * 1024
FENCED = Refusal(
    409, "fenced", "A newer process of this instance has started.", "Do not act; this process is outdated."
)
TAKEN = Refusal(
    409, "conflict", "This id has another checkpoint.", "Make a new id for each checkpoint; drop this one."
)
KEPT = "Nothing of this request was kept; what was stored before stays."


def checkpoint_view(
    view: Callable[Concatenate[wire.AgentRequest, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """An agents' view whose refusals are answers, the missing nodes among them."""

    @wraps(view)
    def guarded(request: wire.AgentRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except admitting.Missing as error:
            names = [name.hex() for name in error.names]
            said = f"{len(names)} nodes that this needs are not in the project."
            return wire.answer(_missing(said, names), 409)
        except taking.Fenced:
            raise FENCED from None
        except taking.Conflict:
            raise TAKEN from None
        except TooMuch as error:
            raise Refusal(413, "too_much", f"This is more than is kept: {error}.", KEPT) from error
        except Damaged as error:
            raise Refusal(409, "damaged", f"{error}.", "Run manage.py verify on the server.") from error
        except BadNode as error:
            raise Refusal(422, "bad_node", f"This is no checkpoint: {error}.", KEPT) from error

    return wire.agent_view(guarded)


@checkpoint_view
@require_POST
def missing(request: wire.AgentRequest, agent: str) -> HttpResponse:
    names = _names(wire.body_of(request), MOST_ASKED)
    return wire.answer({"missing": [name.hex() for name in taking.missing(writer_of(request, agent), names)]})


@checkpoint_view
@require_POST
def nodes(request: wire.AgentRequest, agent: str) -> HttpResponse:
    upload = _uuid(request.GET.get("upload", ""), "upload")
    records = admitting.records_in(wire.body_of(request))
    stored = taking.stage(writer_of(request, agent), upload=upload, records=records, now=timezone.now())
    return wire.answer({"stored": stored})


@checkpoint_view
@require_POST
def take(request: wire.AgentRequest, agent: str) -> HttpResponse:
    first, _, rest = wire.body_of(request).partition(b"\n")
    header, records = _header(first), admitting.records_in(rest)
    found = taking.take(writer_of(request, agent), header=header, records=records, now=timezone.now())
    return wire.answer({"id": str(found.pk), "standing": found.standing, "missing": []})


@checkpoint_view
@require_GET
def newest(request: wire.AgentRequest, agent: str) -> HttpResponse:
    """The newest usable one, which entering a run resumes from; or, when asked so, the newest good one."""
    instance = epochs.find(request.token.project_id, agent, request.GET.get("instance", "main"))
    if request.GET.get("standing") == "good":
        return _told(queries.last_known_good(instance.agent_id, instance_id=instance.pk))
    return _told(queries.newest_usable(instance))


@checkpoint_view
@require_GET
def one(request: wire.AgentRequest, agent: str, id: uuid.UUID) -> HttpResponse:
    return _told(queries.of_agent(_instance(request, agent).agent_id, id))


@checkpoint_view
@require_POST
def read(request: wire.AgentRequest, agent: str) -> HttpResponse:
    """Records by themselves, in the order asked; the header says where an answer that is full ends."""
    _instance(request, agent)
    names = _names(wire.body_of(request), MOST_READ)
    known = store.shapes(request.token.project_id, names)
    size = 0
    fits: list[bytes] = []
    for name in names:
        size += known[name].plain if name in known else 0
        if size > LONGEST_READ and fits:
            break
        fits.append(name)
    found = store.fetch_whole(request.token.project_id, fits)
    by_name = {name: _record(node, plain) for name, node, plain in found}
    body = b"".join(by_name[name] for name in fits if name in by_name)
    answer = HttpResponse(body, content_type="application/octet-stream")
    answer.headers["Sickbay-Read"] = str(len(fits))
    return answer


def _record(node: store.Stored, plain: bytes) -> bytes:
    enc, body = (node.enc, node.body) if node.base is None else pack.pack(plain)
    return record.write(Record(node.name, enc, b"", len(plain), node.items, node.length, body))


def _told(found: Checkpoint | None) -> HttpResponse:
    if found is None:
        raise NOT_FOUND
    said: dict[str, Any] = {
        "id": str(found.pk),
        "memory": _hex(found.memory),
        "workspace": _hex(found.workspace),
        "standing": found.standing,
        "at": found.at.timestamp(),
        "label": found.label or None,
    }
    return wire.answer(said)


def _missing(said: str, names: list[str]) -> dict[str, Any]:
    return {
        "error": "missing_nodes",
        "message": said,
        "what_to_do": "Send these nodes by themselves, then this again.",
        "missing": names,
    }


def writer_of(request: wire.AgentRequest, agent: str) -> taking.Writer:
    epoch = whole_number(request.GET.get("epoch"))
    return taking.Writer(request.token.project_id, agent, request.GET.get("instance", "main"), epoch)


def _instance(request: wire.AgentRequest, agent: str) -> Instance:
    return epochs.find(request.token.project_id, agent, request.GET.get("instance", "main"))


def _header(line: bytes) -> taking.Header:
    try:
        return msgspec.convert(lines.read(line, LONGEST_HEADER), taking.Header)
    except (lines.Refused, msgspec.ValidationError) as error:
        raise unreadable(f"Line 1 is no header of a checkpoint: {error}") from error


def _names(body: bytes, most: int) -> list[bytes]:
    if len(body) % HASH or len(body) > most * HASH:
        raise unreadable(f"The body is names of {HASH} bytes each, at most {most:,}.")
    return [body[at : at + HASH] for at in range(0, len(body), HASH)]


def _uuid(text: str, what: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise unreadable(f"{what} is no UUID.") from None


def _hex(name: bytes | None) -> str | None:
    return bytes(name).hex() if name is not None else None
