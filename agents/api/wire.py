"""The agents' door: who sends, the body as bytes, and errors that say what to do.

A view raises `Refusal` and the decorator answers with it; every error has the same three fields. Bodies are
limited before they are unpacked: a zstd frame declares its size, and where it does not, unpacking stops.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

import orjson
import zstandard
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from agents import access
from agents.models import Token
from agents.services import epochs, tokens

P = ParamSpec("P")
LARGEST_PLAIN = 8 * 1024 * 1024
LARGEST_WINDOW = 8 * 1024 * 1024


class Refusal(Exception):
    """An answer that is no success: status, a name for programs, a sentence, and what to do."""

    def __init__(self, status: int, error: str, message: str, what_to_do: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": error, "message": message, "what_to_do": what_to_do}


class AgentRequest(HttpRequest):
    token: Token


NO_TOKEN = Refusal(
    401,
    "no_token",
    "There is no valid token in this request: it is missing, unknown, expired or revoked.",
    "Send the header Authorization: Bearer sb_…; `manage.py token --scope agent` prints one.",
)
WRONG_SCOPE = Refusal(
    403,
    "wrong_scope",
    "This token is not an agent's.",
    "Use a token made with `manage.py token --scope agent`.",
)
NOT_FOUND = Refusal(
    404,
    "not_found",
    "There is no such agent, instance or run in this token's project.",
    "Register first, with a token of the project that the agent belongs to.",
)
TOO_LONG = Refusal(413, "too_long", "The batch is longer than 8 MB unpacked.", "Send smaller batches.")


def agent_view(
    view: Callable[Concatenate[AgentRequest, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """For a view that agents call: checks the token, and turns refusals into answers."""

    @functools.wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        try:
            request.token = admitted(request.headers.get("Authorization", ""))  # type: ignore[attr-defined]
            return view(request, *args, **kwargs)  # type: ignore[arg-type]
        except Refusal as refusal:
            return answer(refusal.body, refusal.status)
        except epochs.NotFound:
            return answer(NOT_FOUND.body, NOT_FOUND.status)

    return csrf_exempt(guarded)


def admitted(authorization: str) -> Token:
    """The agent's token in this header, or a refusal."""
    scheme, _, text = authorization.partition(" ")
    token = tokens.find(text.strip(), timezone.now()) if scheme.lower() == "bearer" else None
    if token is None:
        raise NO_TOKEN
    if not access.can(access.program(token), "send"):
        raise WRONG_SCOPE
    return token


def body_of(request: HttpRequest) -> bytes:
    """The body, unpacked, never longer than what we take."""
    try:
        body = request.body
    except (RequestDataTooBig, UnreadablePostError) as error:
        raise TOO_LONG from error
    if len(body) > LARGEST_PLAIN:
        raise TOO_LONG
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding == "identity":
        return body
    if encoding == "zstd":
        return unpacked(body)
    raise Refusal(
        415, "bad_encoding", f"Content-Encoding {encoding[:40]} is not known here.", "Send zstd or identity."
    )


def unpacked(body: bytes) -> bytes:
    """One zstd frame. Its declared size is judged first, because the library trusts it more than a limit."""
    try:
        declared = zstandard.get_frame_parameters(body).content_size
        if declared != zstandard.CONTENTSIZE_UNKNOWN and declared > LARGEST_PLAIN:
            raise TOO_LONG
        unpacker = zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW)
        with unpacker.stream_reader(body) as reader:
            plain = b"".join(_pieces(reader))
    except (zstandard.ZstdError, MemoryError) as error:
        raise unreadable(f"The body is no zstd frame: {error}") from error
    if len(plain) > LARGEST_PLAIN:
        raise TOO_LONG
    return plain


def _pieces(reader: Any) -> Any:
    taken = 0
    while taken <= LARGEST_PLAIN and (piece := reader.read(256 * 1024)):
        taken += len(piece)
        yield piece


def unreadable(why: str) -> Refusal:
    return Refusal(
        422, "unreadable", why, "This is a bug of the sender; the same bytes will be refused again."
    )


def answer(content: Any, status: int = 200) -> HttpResponse:
    return HttpResponse(orjson.dumps(content), status=status, content_type="application/json")
