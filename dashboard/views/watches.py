"""Checks that are watched from now on: kept, turned on and off, enforced, removed."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from checkpoints import queries
from checkpoints.models import Watch
from checkpoints.services import watches
from dashboard import fragments
from dashboard.contexts import bisect
from dashboard.contexts import watches as context
from dashboard.request import ProjectRequest, member
from dashboard.views.agent import named

TURNED = {True: "It is watched again.", False: "It is not watched now; what it saw stays."}
POLICIES = {
    Watch.Policy.OBSERVE: "When it begins to fail, the timeline says so.",
    Watch.Policy.ENFORCE: "When it begins to fail, that is a failure, which spends the budget.",
}


@require_POST
@member("decide")
def keep(request: ProjectRequest, name: str) -> HttpResponse:
    """Watch this from now on."""
    agent, check = named(request, name), bisect.read(request.POST)
    policy = request.POST.get("policy", Watch.Policy.OBSERVE)
    try:
        watches.keep(
            actor=request.actor,
            agent=agent,
            check=check,
            policy=policy if policy in Watch.Policy.values else Watch.Policy.OBSERVE,
            now=request.now,
        )
        messages.success(request, "Watched from now on: every new checkpoint is judged by it.")
    except watches.Refused as refused:
        messages.error(request, f"Not watched: {refused}")
    return _back(request, agent.name)


@require_GET
@member()
def now(request: ProjectRequest, name: str) -> HttpResponse:
    """The region's refetch."""
    shown = context.region(named(request, name), request.actor, request.now)
    return fragments.fresh(render_to_string("partials/watches.html", shown, request))


@require_POST
@member("decide")
def turn(request: ProjectRequest, pk: int) -> HttpResponse:
    watch, on = _find(request, pk), request.POST.get("on") == "yes"
    watches.turn(actor=request.actor, watch=watch, on=on, now=request.now)
    messages.success(request, TURNED[on])
    return _back(request, watch.agent.name)


@require_POST
@member("decide")
def set_policy(request: ProjectRequest, pk: int) -> HttpResponse:
    """From observing to enforcing, and back."""
    watch, policy = _find(request, pk), request.POST.get("policy", "")
    if policy not in Watch.Policy.values:
        messages.error(request, "Say whether it observes or enforces.")
    else:
        watches.set_policy(actor=request.actor, watch=watch, policy=policy, now=request.now)
        messages.success(request, POLICIES[Watch.Policy(policy)])
    return _back(request, watch.agent.name)


@require_POST
@member("decide")
def remove(request: ProjectRequest, pk: int) -> HttpResponse:
    watch = _find(request, pk)
    watches.remove(actor=request.actor, watch=watch, now=request.now)
    messages.success(request, "It is not watched any more.")
    return _back(request, watch.agent.name)


def _find(request: ProjectRequest, pk: int) -> Watch:
    found = queries.watch(request.project.pk, pk)
    if found is None:
        raise Http404
    return found


def _back(request: ProjectRequest, name: str) -> HttpResponse:
    return redirect(reverse("agent_checkpoints", args=[request.project.name, name]) + "#watches")
