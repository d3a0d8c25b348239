"""Errors of the operators' routes: always {"error", "message", "what_to_do"}, whoever refused.

A route raises `Problem`. What the framework refuses by itself (a wrong method, an address that is not there,
a body that cannot be read) is put into the same shape by `ErrorsInShape`, the middleware.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import orjson
import psycopg
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

API = "/api/v1/"
AWAY = (OperationalError, InterfaceError, psycopg.OperationalError)  # a COPY raises psycopg's own
log = logging.getLogger("sickbay.api")
WORDS = {
    400: ("bad_request", "The request cannot be read.", "Send valid JSON, as /api/v1/docs shows."),
    403: ("forbidden", "This is not allowed.", "Use a token that may do this."),
    404: ("not_found", "There is nothing at this address.", "See /api/v1/docs for the routes."),
    405: ("wrong_method", "This address does not take that method.", "See the header Allow."),
    413: ("too_long", "The body is too long.", "Send less at once."),
    421: (
        "unknown_host",
        "The host name in this address is not in SICKBAY_HOSTS, so nothing is answered under it.",
        "On the server set SICKBAY_HOSTS to all names it answers to, by comma, or use a name it knows.",
    ),
    429: ("too_many", "Too many requests.", "Wait, then try again."),
    500: ("bug", "The server failed; this is a bug of ours.", "Try again; tell us when it stays."),
    503: ("unavailable", "The server cannot answer now.", "Try again in a moment."),
}


FULL = (
    "disk_full",
    "The server's disk is full, so nothing of this was stored.",
    "Make room on the server's disk; agents keep what they have and send it again by themselves.",
)


class Problem(Exception):
    """A refusal: status, a name for programs, a sentence, and what to do."""

    def __init__(self, status: int, error: str, message: str, what_to_do: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": error, "message": message, "what_to_do": what_to_do, **more}


def no_token() -> Problem:
    return Problem(
        401,
        "no_token",
        "There is no valid token in this request: it is missing, unknown, expired or revoked.",
        "Send the header Authorization: Bearer sb_…; `manage.py token --scope operator` prints one.",
    )


def wrong_scope() -> Problem:
    return Problem(
        403,
        "wrong_scope",
        "This token may not do that.",
        "Use a token made with `manage.py token --scope operator`.",
    )


def not_found(what: str) -> Problem:
    return Problem(
        404,
        "not_found",
        f"There is no such {what} in this token's project.",
        "Look at the list for what is there.",
    )


def install(api: NinjaAPI) -> None:
    """Every refusal of the framework in our shape."""

    @api.exception_handler(Problem)
    def problem(request: HttpRequest, error: Problem) -> HttpResponse:
        return answered(error.status, error.body)

    @api.exception_handler(AuthenticationError)
    def unknown(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
        return answered(401, no_token().body)

    @api.exception_handler(ValidationError)
    def invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
        return answered(422, said(error.errors))

    @api.exception_handler(HttpError)
    def refused(request: HttpRequest, error: HttpError) -> HttpResponse:
        body = shaped(error.status_code)
        if why := getattr(request, "unreadable", None):
            body["message"] = f"The body cannot be read: {why}."
        return answered(error.status_code, body)


def said(errors: list[dict[str, Any]]) -> dict[str, Any]:
    """What is wrong with which field, without repeating the value."""
    places = [
        ".".join(str(step) for step in error.get("loc", ())[1:] if step not in ("said", "page"))
        for error in errors
    ]
    words = [
        f"{place or 'body'}: {error.get('msg', 'is not valid')}"
        for place, error in zip(places, errors, strict=True)
    ]
    return {
        "error": "invalid",
        "message": "; ".join(words)[:1000],
        "what_to_do": "Correct these fields; /api/v1/docs shows what each takes.",
    }


def shaped(status: int, words: tuple[str, str, str] | None = None) -> dict[str, str]:
    known = WORDS.get(status, WORDS[500] if status >= 500 else WORDS[400])
    error, message, what_to_do = words or known
    return {"error": error, "message": message, "what_to_do": what_to_do}


def answered(status: int, body: dict[str, Any]) -> HttpResponse:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return HttpResponse(orjson.dumps(body), status=status, content_type="application/json", headers=headers)


def is_full(error: BaseException | None) -> bool:
    """Whether the database had no room: its own word, or the one behind Django's."""
    return error is not None and (isinstance(error, psycopg.errors.DiskFull) or is_full(error.__cause__))


class ErrorsInShape:
    """Below /api/v1/ no error leaves as a page for humans, and a database that is away is no bug."""

    sync_capable, async_capable = True, False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if response.status_code < 400 or not request.path_info.startswith(API):
            return response
        if re.match(r"application/json\b", response.headers.get("Content-Type", "")):
            return response
        kept = {name: response.headers[name] for name in ("Allow", "Retry-After") if name in response.headers}
        answer = answered(response.status_code, shaped(response.status_code))
        for name, value in kept.items():
            answer.headers[name] = value
        return answer

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Nothing was committed, so the caller may try again: the database is down, or starting, or full."""
        if not isinstance(error, AWAY) or not request.path_info.startswith(API):
            return None
        log.warning("%s %s was not answered: %s", request.method, request.path_info, error)
        return answered(503, shaped(503, FULL if is_full(error) else None))
