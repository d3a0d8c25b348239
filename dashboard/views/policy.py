"""An agent's policy: the budget that its code sets, who is told, and how its checkpoints are thinned."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from agents.access import can
from agents.models import Agent
from agents.services import guarding, on_call
from checkpoints.services import retention
from dashboard.contexts import agent as around
from dashboard.contexts import policy as context
from dashboard.contexts.asked import number
from dashboard.request import ProjectRequest, member
from dashboard.views.agent import named


@require_GET
@member()
def policy(request: ProjectRequest, name: str) -> HttpResponse:
    """As it is; or, with a choice in the address, what that would leave of what is there."""
    one = named(request, name)
    return _page(request, one, context.shown(one, request.GET.dict(), request.now))


@require_POST
@member("policy")
def keep(request: ProjectRequest, name: str) -> HttpResponse:
    """Thin by this from now on."""
    one = named(request, name)
    try:
        steps = context.steps_of(request.POST.dict())
        retention.set_policy(actor=request.actor, agent=one, steps=steps, now=request.now)
    except ValueError as error:
        return _page(request, one, context.shown(one, {}, request.now, error=str(error)), status=422)
    messages.success(request, "Kept. Old checkpoints are thinned by it within a quarter of an hour.")
    return redirect("agent_policy", request.project.name, one.name)


@require_POST
@member("targets")
def tell_by(request: ProjectRequest, name: str) -> HttpResponse:
    """Who is told of it, from its next incident on."""
    one, asked = named(request, name), request.POST.get("escalation", "")
    try:
        pk = None if asked == "" else number(asked) or 0
        on_call.choose_policy(actor=request.actor, agent=one, pk=pk, now=request.now)
    except on_call.Refused as error:
        shown = context.shown(one, {}, request.now) | {"told_error": str(error)}
        return _page(request, one, shown, status=422)
    messages.success(request, "Kept. It counts from this agent's next incident on.")
    return redirect("agent_policy", request.project.name, one.name)


@require_POST
@member("guard")
def guard(request: ProjectRequest, name: str) -> HttpResponse:
    """How many people let it go on, and whether they show anew who they are."""
    one = named(request, name)
    guarding.guard(
        actor=request.actor,
        agent=one,
        two_people="two_people" in request.POST,
        proves_anew="proves_anew" in request.POST,
        now=request.now,
    )
    messages.success(request, "Kept. It counts from now on.")
    return redirect("agent_policy", request.project.name, one.name)


@require_POST
@member()
def attempt(request: ProjectRequest, name: str) -> HttpResponse:
    """Changes nothing: the choice goes into the address, where it is tried."""
    address = reverse("agent_policy", args=[request.project.name, named(request, name).name])
    return redirect(f"{address}?{urlencode(context.chosen(request.POST.dict()))}#retention")


def _page(request: ProjectRequest, one: Agent, shown: dict[str, Any], status: int = 200) -> HttpResponse:
    page = around.page(one, request.actor, request.now, "agent_policy")
    page["may_change"] = can(request.actor, "policy", one)
    page["may_guard"] = can(request.actor, "guard", one)
    page["may_tell"] = can(request.actor, "targets", one)
    return render(request, "agent_policy.html", page | shown, status=status)
