"""The tokens page: what stands about each token, the form, and a new token's text, once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agents import access
from agents.access import Actor
from agents.models import Project, Scope, Token
from agents.queries import tokens as queries
from agents.services import tokens
from agents.services.tokens import Made

LASTS = (("365", "a year"), ("90", "90 days"), ("30", "30 days"), ("", "no end"))
SCOPES = (
    (Scope.AGENT, "agent: sends events, obeys commands"),
    (Scope.OPERATOR, "operator: reads, pauses, decides"),
)
SOON = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Row:
    token: Token
    state: str
    tone: str
    icon: str
    ends_soon: bool


def page(
    project: Project, actor: Actor, now: datetime, made: Made | None = None, error: str = ""
) -> dict[str, Any]:
    may_make = access.can(actor, "tokens", project)
    return {
        "project": project,
        "now": now,
        "rows": sorted(
            (row(t, now) for t in queries.of_project(project.pk)), key=lambda r: r.state != "works"
        ),
        "may_make": may_make,
        "scopes": scopes(actor, project),
        "lasts": LASTS,
        "fresh_id": tokens.new_id(),
        "made": made,
        "error": error,
    }


def row(token: Token, now: datetime) -> Row:
    if token.revoked_at:
        return Row(token, "revoked", "quiet", icon="ban", ends_soon=False)
    if token.expires_at and token.expires_at <= now:
        return Row(token, "expired", "quiet", icon="hourglass", ends_soon=False)
    soon = token.expires_at is not None and token.expires_at - now < SOON
    return Row(token, "works", "good", icon="circle-check", ends_soon=soon)


def scopes(actor: Actor, project: Project) -> list[tuple[str, str]]:
    """The scopes that this person may hand out."""
    may = {Scope.AGENT: "tokens", Scope.OPERATOR: "operator_tokens"}
    return [(scope, words) for scope, words in SCOPES if access.can(actor, may[scope], project)]
