"""*Wrong since here*: what it will do is shown first, in a dialog or as a page; then it is done."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_http_methods

from agents import access
from agents.models import Agent
from checkpoints import foreseen
from checkpoints.foreseen import Place
from checkpoints.services import reports
from dashboard.contexts import agent as around
from dashboard.contexts import wrong as context
from dashboard.contexts.asked import words
from dashboard.request import ProjectRequest, member
from dashboard.views.agent import NO_REASON, named, reason_of


@require_http_methods(["GET", "POST"])
@member()
def wrong(request: ProjectRequest, name: str) -> HttpResponse:
    """Everybody may look at what it would do; it is done by whoever may decide."""
    agent = named(request, name)
    since = words(request.GET.get("since", ""), 60)
    place = foreseen.place_of(agent, since)
    if place is None:
        raise Http404
    if request.method == "GET":
        return _ask(request, agent, place, since)
    if not access.can(request.actor, "decide", agent):
        raise PermissionDenied(f"A {request.actor.role} of {request.project.name} may not do this.")
    reason = reason_of(request)
    if not reason:
        return _ask(request, agent, place, since, error=NO_REASON)
    done = reports.wrong_since(
        actor=request.actor, agent=agent, place=place, named=since, reason=reason, now=request.now
    )
    messages.success(request, context.sentence(agent, done))
    if not done.incidents:
        return redirect("agent", request.project.name, agent.name)
    return redirect("incident", request.project.name, done.incidents[0].pk)


def _ask(request: ProjectRequest, agent: Agent, place: Place, since: str, *, error: str = "") -> HttpResponse:
    """The dialog alone for htmx, which puts it where dialogs stand; else the page."""
    shown = context.asked(agent, place, since, request.actor, request.now) | {"error": error}
    if request.headers.get("HX-Target") == "fetched":
        response = render(request, "partials/wrong_dialog.html", shown)
    else:
        whole = around.page(agent, request.actor, request.now, "") | shown
        response = render(request, "wrong.html", whole, status=422 if error else 200)
    patch_vary_headers(response, ["HX-Target"])
    response["Cache-Control"] = "no-store"
    return response
