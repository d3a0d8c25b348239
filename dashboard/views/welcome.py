"""The first-run page: from nothing to the first event of an agent of one's own."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from agents.models import Scope
from dashboard import anew, fragments
from dashboard.contexts import welcome as context
from dashboard.contexts.asked import moment
from dashboard.request import ProjectRequest, member
from dashboard.views.tokens import AGAIN, made_for


@require_GET
@member()
def welcome(request: ProjectRequest) -> HttpResponse:
    return render(
        request, "welcome.html", context.page(request.project, request.actor, request.now, site(request))
    )


@require_http_methods(["GET", "POST"])
@never_cache
@member("tokens")
@anew.proven("welcome")
def token(request: ProjectRequest) -> HttpResponse:
    """A token for the first agent, in the answer and nowhere else; opened again, its address leads back."""
    if request.method == "GET":
        return redirect("welcome", request.project.name)
    made = made_for(request, "first agent", Scope.AGENT, "365")
    if made.text is None:
        messages.warning(request, AGAIN)
        return redirect("welcome", request.project.name)
    shown = context.page(request.project, request.actor, request.now, site(request), made)
    return render(request, "welcome.html", shown)


@require_GET
@member()
def waiting(request: ProjectRequest) -> HttpResponse:
    """Whether the first event has come since the page was opened."""
    since = moment(request.GET.get("since", "")) or request.now
    shown = context.waiting(request.project, since, request.now)
    return fragments.fresh(render_to_string("partials/welcome_waiting.html", shown, request))


def site(request: ProjectRequest) -> str:
    """The address that this browser reached the server by, which an agent on its machine can use too."""
    return request.build_absolute_uri("/").rstrip("/")
