"""Showing anew that it is you.

A rollback, where the agent's policy asks for it: to the door, and back to the form, with what was typed.
Tokens, people and channels, unless somebody signed in a moment ago: to the door, and what was typed is done
from there; meanwhile it waits in the session, sealed, for it may hold a channel's secret. Only that very door
does it, within ten minutes, and it asks for permission like any other form.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any, ParamSpec
from urllib.parse import urlencode

from allauth.account import app_settings
from allauth.account.internal.flows import login, reauthentication
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect
from django.urls import resolve, reverse
from django.utils.http import url_has_allowed_host_and_scheme

from agents.access import Actor
from agents.services import targets
from checkpoints.services import aiming
from dashboard.request import ProjectRequest, ProjectView

P = ParamSpec("P")

KEPT = "typed_before_proving"
WORDS = ("reason", "stop_reason", "note", "guidance")
LONGEST = 5_000
WAITS_S = 600
NO_WAY = (
    "You have neither password nor passkey here to show that it is you. "
    "Add a passkey on your own page, then come back."
)
LATE = "Nothing was changed: what you sent waited for longer than ten minutes. Send it once more."
SIGN_IN_AGAIN = (
    "You have neither password nor passkey here to show that it is you. Sign out and in again just before "
    "you change anything here, or add a passkey on your own page."
)


def actor(request: ProjectRequest) -> Actor:
    """The person, and whether they showed it within the last minutes. Who has no means to has not."""
    may = bool(reauthentication.get_reauthentication_flows(request.user))
    return replace(request.actor, proven=may and reauthentication.did_recently_reauthenticate(request))


def possible(request: HttpRequest) -> bool:
    return bool(reauthentication.get_reauthentication_flows(request.user))


def asked(request: ProjectRequest, refused: aiming.Refused, page: str) -> HttpResponse | None:
    """To the door, when that is what the refusal asks for and this person can; else None."""
    return ask(request, page) if refused.error == "prove_anew" and possible(request) else None


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


def proven(page: str) -> Callable[[ProjectView[P]], Callable[..., HttpResponseBase]]:
    """The view of a form of `page`, for who signed in, or showed who they are, a moment ago."""

    def decorate(view: ProjectView[P]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def guarded(request: ProjectRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if request.method == "GET" or recently(request):
                return view(request, *args, **kwargs)
            form = reverse(page, args=[request.project.name])
            if possible(request):
                return _wait(request, form)
            messages.error(request, SIGN_IN_AGAIN)
            return redirect(form)

        return guarded

    return decorate


def recently(request: HttpRequest) -> bool:
    """Signing in counts, by whatever way; so does the door."""
    records = login.get_authentication_records(request, request.user)
    newest = max((float(record["at"]) for record in records), default=0.0)
    return time.time() - newest < float(app_settings.REAUTHENTICATION_TIMEOUT)


def lacking(request: HttpRequest) -> str:
    """Said before anything is typed, to who would be refused afterwards."""
    return "" if recently(request) or possible(request) else SIGN_IN_AGAIN


def _wait(request: ProjectRequest, form: str) -> HttpResponse:
    """What was sent is sealed, and the door is told where it leads; that address is nobody else's."""
    back = f"{form}?{urlencode({'sent': secrets.token_urlsafe(9)})}"
    sealed = targets.encrypt(request.POST.urlencode()).decode("ascii")
    state = {"back": back, "path": request.path, "sealed": sealed, "at": time.time()}
    answer = reauthentication.stash_and_reauthenticate(request, state, "dashboard.anew.go_on")
    return redirect(f"{answer['Location']}?{urlencode({'next': back})}")


def go_on(request: HttpRequest, state: dict[str, Any]) -> HttpResponseBase:
    """Through the door: do what was sent; whoever came to it for something else goes on to that."""
    wanted = request.POST.get("next") or request.GET.get("next", "")
    if wanted != state["back"]:
        return redirect(wanted if url_has_allowed_host_and_scheme(wanted, None) else "/")
    sent = targets.opened(state["sealed"].encode("ascii"))
    if sent is None or time.time() - state["at"] > WAITS_S:
        messages.warning(request, LATE)
        return redirect(wanted)
    request.POST = QueryDict(sent)
    request.GET = QueryDict("")
    request.path = request.path_info = state["path"]
    view = resolve(state["path"])
    answer: HttpResponseBase = view.func(request, *view.args, **view.kwargs)
    return answer
