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

from agents.models import Token
from agents.services import epochs
from agents.services.admission import NOT_FOUND, Refusal, agent_token, unreadable

P = ParamSpec("P")
LARGEST_PLAIN = 8 * 1024 * 1024
LARGEST_WINDOW = 8 * 1024 * 1024


class AgentRequest(HttpRequest):
    token: Token


TOO_LONG = Refusal(413, "too_long", "The batch is longer than 8 MB unpacked.", "Send smaller batches.")


def agent_view(
    view: Callable[Concatenate[AgentRequest, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """For a view that agents call: checks the token, and turns refusals into answers."""

    @functools.wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        try:
            request.token = agent_token(  # type: ignore[attr-defined]
                request.headers.get("Authorization", ""), timezone.now()
            )
            return view(request, *args, **kwargs)  # type: ignore[arg-type]
        except Refusal as refusal:
            return answer(refusal.body, refusal.status)
        except epochs.NotFound:
            return answer(NOT_FOUND.body, NOT_FOUND.status)

    return csrf_exempt(guarded)


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


def answer(content: Any, status: int = 200) -> HttpResponse:
    return HttpResponse(orjson.dumps(content), status=status, content_type="application/json")
