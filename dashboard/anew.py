"""Showing anew that it is you, before a rollback: to the door, and back to the form, with what was typed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from allauth.account.internal.flows import reauthentication
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from agents.access import Actor
from checkpoints.services import aiming
from dashboard.request import ProjectRequest

KEPT = "typed_before_proving"
WORDS = ("reason", "stop_reason", "note", "guidance")
LONGEST = 5_000
NO_WAY = (
    "You have neither password nor passkey here to show that it is you. "
    "Add a passkey on your own page, then come back."
)


def actor(request: ProjectRequest) -> Actor:
    """The person, and whether they showed it within the last minutes. Who has no means to has not."""
    may = bool(reauthentication.get_reauthentication_flows(request.user))
    return replace(request.actor, proven=may and reauthentication.did_recently_reauthenticate(request))


def possible(request: ProjectRequest) -> bool:
    return bool(reauthentication.get_reauthentication_flows(request.user))


def ask(request: ProjectRequest, page: str) -> HttpResponse:
    """To the door; `page` is where the form stands, and what was typed waits there."""
    said = {name: request.POST.get(name, "")[:LONGEST] for name in WORDS}
    ticked = {name: name in request.POST for name in ("probation", "even_bad")}
    request.session[KEPT] = {"page": page, "said": said, "ticked": ticked}
    return redirect(f"{reverse('account_reauthenticate')}?{urlencode({'next': page})}")


def why(refused: aiming.Refused) -> str:
    """The refusal in words; who has no means to show it is told where they get one."""
    return NO_WAY if refused.error == "prove_anew" else f"{refused.message} {refused.what_to_do}".strip()


def back(request: ProjectRequest) -> dict[str, Any]:
    """What the page shows when somebody is back from the door: their words, once."""
    kept = request.session.get(KEPT)
    if not isinstance(kept, dict) or kept.get("page") != request.get_full_path():
        return {}
    del request.session[KEPT]
    return {
        "typed": kept["said"],
        "on_probation": kept["ticked"]["probation"],
        "even_bad": kept["ticked"]["even_bad"],
        "proved": actor(request).proven,
    }
