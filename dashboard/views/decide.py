"""What a human does about an incident: acknowledge, resume, stop, start again; and pausing agents."""

from __future__ import annotations

from typing import Literal

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from agents.models import Agent
from agents.queries import fleet
from agents.services import decisions, incidents, pauses
from dashboard.contexts import pausing
from dashboard.decide_form import FORMS, PauseForm, WithdrawForm
from dashboard.request import ProjectRequest, member
from dashboard.views.incidents import find, page


@require_POST
@member("acknowledge")
def acknowledge(request: ProjectRequest, pk: int) -> HttpResponse:
    with transaction.atomic():
        done = incidents.acknowledge(actor=request.actor, incident_id=pk, now=request.now)
    if done.incident is None:
        raise Http404
    if done.name == "already" and done.incident.acknowledged_by:
        messages.info(request, f"{done.incident.acknowledged_by} acknowledged it before you.")
    return redirect("incident", request.project.name, pk)


@require_POST
@member("decide")
def resume(request: ProjectRequest, pk: int) -> HttpResponse:
    return _decide(request, pk, "resume")


@require_POST
@member("decide")
def stop(request: ProjectRequest, pk: int) -> HttpResponse:
    return _decide(request, pk, "stop")


@require_POST
@member("decide")
def start(request: ProjectRequest, pk: int) -> HttpResponse:
    """Start the stopped agents of an incident again."""
    incident, form = find(request, pk), FORMS["start"](request.POST)
    if not form.is_valid():
        return page(request, incident, form=form)
    stopped = Agent.objects.filter(instances__pauses__incident=incident, instances__pauses__state="stopped")
    for agent in stopped.distinct().order_by("pk"):
        guidance = form.cleaned_data["guidance"]
        outcome = decisions.start(
            actor=request.actor, agent=agent, reason=form.why(), guidance=guidance, now=request.now
        )
        messages.success(request, f"{agent.name}: {outcome.sentence}")
    return redirect("incident", request.project.name, pk)


@require_POST
@member("decide")
def withdraw(request: ProjectRequest, pk: int) -> HttpResponse:
    """Take back a decision that no run has taken up."""
    incident, form = find(request, pk), WithdrawForm(request.POST)
    if not form.is_valid():
        return page(request, incident, form=form)
    outcome = decisions.withdraw(
        actor=request.actor,
        incident_id=pk,
        version=form.cleaned_data["version"],
        reason=form.why(),
        now=request.now,
    )
    if outcome.name != "withdrawn":
        return page(request, find(request, pk), form=form, refused=outcome.sentence)
    messages.success(request, outcome.sentence)
    return redirect("incident", request.project.name, pk)


@require_GET
@member("pause")
def ask_pause(request: ProjectRequest) -> HttpResponse:
    """What pausing these agents will do, and the reason for it."""
    found = fleet.named(request.project, request.GET.getlist("agent"))
    return render(request, "pause.html", pausing.whole(request.project, found, request.now))


@require_POST
@member("pause")
def pause(request: ProjectRequest) -> HttpResponse:
    """One order for each agent; where it was held before, it stays as it was."""
    found = fleet.named(request.project, request.POST.getlist("agent"))
    form = PauseForm(request.POST)
    if not found or not form.is_valid():
        shown = pausing.whole(request.project, found, request.now, form)
        return render(request, "pause.html", shown, status=422)
    orders = [
        pauses.order(actor=request.actor, agent=agent, reason=form.why(), now=request.now) for agent in found
    ]
    opened = [order.incident for order in orders if order.incident]
    messages.success(request, pausing.sentence(found, len(opened)))
    if len(found) == 1 and opened:
        return redirect("incident", request.project.name, opened[0].pk)
    return redirect("fleet", request.project.name)


def _decide(request: ProjectRequest, pk: int, verb: Literal["resume", "stop"]) -> HttpResponse:
    incident, form = find(request, pk), FORMS[verb](request.POST)
    if not form.is_valid():
        return page(request, incident, form=form)
    outcome = decisions.decide(
        actor=request.actor,
        incident_id=pk,
        verb=verb,
        version=form.cleaned_data["version"],
        reason=form.why(),
        guidance=form.cleaned_data["guidance"],
        probation=form.cleaned_data["probation"],
        now=request.now,
    )
    if outcome.name == "not_found":
        raise Http404
    if outcome.name not in ("decided", "asked"):
        return page(request, find(request, pk), form=form, refused=outcome.sentence)
    return redirect("incident", request.project.name, pk)
