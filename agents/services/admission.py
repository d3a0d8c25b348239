"""Who may come in by the agents' doors, and the refusals that all of them share."""

from __future__ import annotations

import datetime as dt

from agents import access
from agents.models import Token
from agents.services import tokens


class Refusal(Exception):
    """An answer that is no success: status, a name for programs, a sentence, and what to do."""

    def __init__(self, status: int, error: str, message: str, what_to_do: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": error, "message": message, "what_to_do": what_to_do}


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
    "There is no such agent, instance, run or command in this token's project.",
    "Register first, with a token of the project that the agent belongs to.",
)


def agent_token(authorization: str, now: dt.datetime) -> Token:
    """The agent's token in this header, or a refusal."""
    scheme, _, text = authorization.partition(" ")
    token = tokens.find(text.strip(), now) if scheme.lower() == "bearer" else None
    if token is None:
        raise NO_TOKEN
    if not access.can(access.program(token), "send"):
        raise WRONG_SCOPE
    return token


def unreadable(why: str) -> Refusal:
    return Refusal(422, "unreadable", why, "This is a bug of the sender; the same will be refused again.")


def whole_number(text: str | None) -> int:
    """A number of a query string; 0 when absent."""
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise unreadable("epoch, after and wait are whole numbers.")
    return int(text)
