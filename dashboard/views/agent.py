"""An agent's page: its head, its timeline, its runs, and the two verbs that stand in its head."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_GET, require_http_methods

from agents import access
from agents.models import Agent
from agents.queries.fleet import with_workers
from agents.services import decisions, pauses
from dashboard import fragments
from dashboard.contexts import agent as context
from dashboard.contexts import asked, timeline
from dashboard.contexts.asked import words
from dashboard.request import ProjectRequest, member

NO_REASON = "Say why, in a word."


@require_GET
@member()
def agent(request: ProjectRequest, name: str) -> HttpResponse:
    """The timeline in its page; for htmx, which aims at the region or its list, that alone."""
    one = named(request, name)
    wanted = asked.read(request.GET)
    have = timeline.mark(one, request.now)
    if request.GET.get("have") == have:
        return fragments.unchanged()
    response = REGIONS.get(request.headers.get("HX-Target", ""), _whole)(request, one, wanted, have)
    patch_vary_headers(response, ["HX-Request", "HX-Target"])
    return response


def _whole(request: ProjectRequest, one: Agent, wanted: asked.Asked, have: str) -> HttpResponse:
    shown = timeline.region(one, wanted, request.now) | {"have": have}
    return render(request, "agent.html", shown | context.page(one, request.actor, request.now, "agent"))


def _region(request: ProjectRequest, one: Agent, wanted: asked.Asked, have: str) -> HttpResponse:
    shown = timeline.region(one, wanted, request.now) | {"have": have}
    return fragments.fresh(render_to_string("partials/timeline.html", shown, request))


def _list(request: ProjectRequest, one: Agent, wanted: asked.Asked, have: str) -> HttpResponse:
    """The same for everybody who looks at these entries, so drawn once."""
    key = ("timeline-list", one.pk, wanted, have)

    def draw() -> str:
        shown = timeline.listing(one, wanted, request.now) | {"have": have}
        return render_to_string("partials/timeline_list.html", shown)

    return fragments.fresh(fragments.kept(key, draw))


REGIONS = {"timeline": _region, "timeline-list": _list}


@require_GET
@member()
def head(request: ProjectRequest, name: str) -> HttpResponse:
    """The head's refetch."""
    shown = context.head(named(request, name), request.actor, request.now)
    return fragments.fresh(render_to_string("partials/agent_head.html", shown, request))


@require_GET
@member()
def runs(request: ProjectRequest, name: str) -> HttpResponse:
    one = named(request, name)
    shown = context.runs(one, request.GET.get("before", ""), request.now)
    return render(
        request, "agent_runs.html", shown | context.page(one, request.actor, request.now, "agent_runs")
    )


@require_http_methods(["GET", "POST"])
@member("pause")
def pause(request: ProjectRequest, name: str) -> HttpResponse:
    """Orders a pause; by GET it only asks for the reason, for browsers without scripts."""
    one = named(request, name)
    reason = reason_of(request)
    if request.method == "GET" or not reason:
        return _ask(request, one, "pause", missing=request.method == "POST")
    ordered = pauses.order(actor=request.actor, agent=one, reason=reason, now=request.now)
    if ordered.incident is None:
        messages.warning(request, f"{one.name} was held already; nothing was changed.")
    else:
        messages.success(request, f"{one.name} is told to pause. It stops before its next action.")
    return _acted(request, one)


@require_http_methods(["GET", "POST"])
@member("decide")
def start(request: ProjectRequest, name: str) -> HttpResponse:
    """Starts a stopped agent again; by GET it only asks for the reason."""
    one = named(request, name)
    reason = reason_of(request)
    if request.method == "GET" or not reason:
        return _ask(request, one, "start", missing=request.method == "POST")
    outcome = decisions.start(actor=request.actor, agent=one, reason=reason, now=request.now)
    done = outcome.name in ("decided", "asked")
    (messages.success if done else messages.warning)(request, outcome.sentence)
    return _acted(request, one)


def named(request: ProjectRequest, name: str) -> Agent:
    """The agent of the address; another project's is not there."""
    found = with_workers(Agent.objects.select_related("project"))
    one = found.filter(project=request.project, name=words(name, 63)).first()
    if one is None:
        raise Http404
    if not access.can(request.actor, "view", one):
        raise PermissionDenied
    return one


def reason_of(request: ProjectRequest) -> str:
    """The chip and the note in one sentence; a chip or a note is enough."""
    said = [words(request.POST.get(name, ""), 400).strip() for name in ("reason", "note")]
    return ": ".join(part for part in said if part)[:500]


def _acted(request: ProjectRequest, one: Agent) -> HttpResponse:
    """The page again; for htmx, which aims at the head, the head as it is now and what is said of it."""
    if not _aims_at_head(request):
        return redirect("agent", request.project.name, one.name)
    shown = context.head(named(request, one.name), request.actor, request.now)
    return fragments.fresh(render_to_string("partials/agent_acted.html", shown, request))


def _aims_at_head(request: ProjectRequest) -> bool:
    return request.headers.get("HX-Target") == "agent-head"


def _ask(request: ProjectRequest, one: Agent, verb: str, *, missing: bool) -> HttpResponse:
    if missing and _aims_at_head(request):
        return HttpResponse(NO_REASON, status=422, content_type="text/plain; charset=utf-8")
    shown: dict[str, Any] = context.page(one, request.actor, request.now, "") | {
        "verb": verb, "error": NO_REASON if missing else "",
    }  # fmt: skip
    return render(request, "agent_ask.html", shown, status=422 if missing else 200)
