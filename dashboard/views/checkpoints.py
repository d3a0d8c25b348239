"""An agent's checkpoints: their history, and what a person may say of one."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_GET, require_POST

from checkpoints import queries
from checkpoints.models import Checkpoint, Standing
from checkpoints.services import keeping, standing
from dashboard import fragments
from dashboard.contexts import agent as context
from dashboard.contexts import history, watches
from dashboard.request import ProjectRequest, member
from dashboard.views.agent import NO_REASON, named, reason_of

DAMAGED = "It is damaged, so it cannot be called good."


@require_GET
@member()
def checkpoints(request: ProjectRequest, name: str) -> HttpResponse:
    """The history in its page; for htmx, which aims at the region, that alone, with all changes looked at."""
    agent, asked = named(request, name), history.read(request.GET)
    alone = request.headers.get("HX-Target") == "checkpoints"
    shown = history.region(agent, asked, request.actor, request.now, look=alone)
    if alone:
        response = fragments.fresh(render_to_string("partials/checkpoint_list.html", shown, request))
    else:
        around = context.page(agent, request.actor, request.now, "agent_checkpoints")
        watched = watches.region(agent, request.actor, request.now)
        response = render(request, "agent_checkpoints.html", around | shown | watched)
    patch_vary_headers(response, ["HX-Request", "HX-Target"])
    return response


@require_POST
@member("decide")
def judge(request: ProjectRequest, pk: UUID) -> HttpResponse:
    """Good or bad, and why."""
    found, verdict, reason = find(request, pk), request.POST.get("standing", ""), reason_of(request)
    if verdict not in (Standing.GOOD, Standing.BAD):
        messages.error(request, "Say whether it is good or bad.")
    elif not reason:
        messages.error(request, NO_REASON)
    else:
        done = standing.judge(
            actor=request.actor, checkpoint=found, verdict=verdict, reason=reason, now=request.now
        )
        said = {"damaged": DAMAGED, "already": "It was called so already."}
        messages.info(request, said.get(done.name, f"It is called {verdict} now."))
    return _back(request, found)


@require_POST
@member("decide")
def pin(request: ProjectRequest, pk: UUID) -> HttpResponse:
    """Pinned: no age takes it away."""
    found = find(request, pk)
    pinned = request.POST.get("pinned") == "yes"
    keeping.pin(actor=request.actor, checkpoint=found, pinned=pinned, now=request.now)
    messages.success(request, "It is kept whatever its age." if pinned else "Its age decides again.")
    return _back(request, found)


def find(request: ProjectRequest, pk: UUID) -> Checkpoint:
    found = queries.one(request.project.pk, pk)
    if found is None:
        raise Http404
    return found


def _back(request: ProjectRequest, found: Checkpoint) -> HttpResponse:
    """The history, with the checkpoint open."""
    page = reverse("agent_checkpoints", args=[request.project.name, found.agent.name])
    return redirect(f"{page}?open={found.pk}#c-{found.pk.hex}")
