"""Rolling back from the browser: an agent that stays as it is, or the decision of an incident."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from agents.models import Agent
from checkpoints import queries
from checkpoints.services import aiming, rollbacks
from dashboard import anew
from dashboard.decide_form import RollbackForm
from dashboard.request import ProjectRequest, member
from dashboard.views.incidents import find, page


@require_POST
@member("decide")
def roll_back_agent(request: ProjectRequest, name: str) -> HttpResponse:
    """What was paused stays paused."""
    agent = get_object_or_404(Agent, project=request.project, name=name)
    form = RollbackForm(request.POST)
    if not form.is_valid():
        messages.error(request, form.sentence())
        return redirect("agent", request.project.name, name)
    try:
        ordered = rollbacks.order(
            actor=anew.actor(request), agent=agent, wanted=form.wanted(), now=request.now
        )
        messages.success(request, ordered.sentence)
    except aiming.Refused as refused:
        if at_door := anew.asked(request, refused, reverse("agent", args=[request.project.name, name])):
            return at_door
        messages.error(request, anew.why(refused))
    return redirect("agent", request.project.name, name)


@require_POST
@member("decide")
def roll_back_incident(request: ProjectRequest, pk: int) -> HttpResponse:
    """Roll back and resume, on probation."""
    incident, form = find(request, pk), RollbackForm(request.POST)
    if not form.is_valid():
        return page(request, incident, form=form)
    try:
        outcome = rollbacks.decide(
            actor=anew.actor(request),
            incident_id=pk,
            version=form.cleaned_data["version"] or 0,
            wanted=form.wanted(),
            guidance=form.cleaned_data["guidance"],
            probation=form.cleaned_data["probation"],
            agents=request.POST.getlist("goes_back")[:1000] or None,
            now=request.now,
        )
    except aiming.Refused as refused:
        at_door = anew.asked(request, refused, reverse("incident", args=[request.project.name, pk]))
        return at_door or page(request, incident, form=form, refused=anew.why(refused))
    if outcome.name == "not_found":
        raise Http404
    if outcome.name not in ("decided", "asked"):
        return page(request, find(request, pk), form=form, refused=outcome.sentence)
    return redirect("incident", request.project.name, pk)


@require_POST
@member("decide")
def withdraw_rollback(request: ProjectRequest, id: uuid.UUID) -> HttpResponse:
    """Take back what no run has taken up."""
    found = queries.rollback(request.project.pk, id)
    if found is None:
        raise Http404
    try:
        messages.success(
            request, rollbacks.withdraw(actor=request.actor, rollback=found, reason="", now=request.now)
        )
    except aiming.Refused as refused:
        messages.error(request, refused.message)
    return redirect("rollback", request.project.name, found.pk)
