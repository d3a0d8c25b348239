"""Hold the tool of an incident, and let it go."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from agents.services import holds
from dashboard.decide_form import HoldForm, LiftForm
from dashboard.request import ProjectRequest, member
from dashboard.views.incidents import find, page


@require_POST
@member("pause")
def hold(request: ProjectRequest, pk: int) -> HttpResponse:
    """Calls to it wait, other work goes on."""
    incident, form = find(request, pk), HoldForm(request.POST)
    if not form.is_valid():
        return page(request, incident, form=form)
    said = form.cleaned_data
    outcome = holds.hold(
        actor=request.actor,
        incident_id=pk,
        everywhere=said["everywhere"],
        reason=said["hold_reason"],
        now=request.now,
    )
    if not outcome.done:
        messages.warning(request, outcome.sentence)
    return redirect("incident", request.project.name, pk)


@require_POST
@member("pause")
def lift(request: ProjectRequest, pk: int) -> HttpResponse:
    """Calls to it go on; the hold is named by its own number, so that no later one is lifted."""
    held = request.project.holds.filter(pk=pk).first()
    if held is None:
        raise Http404
    form = LiftForm(request.POST)
    if not form.is_valid():
        return page(request, find(request, held.incident_id), form=form)
    outcome = holds.lift(actor=request.actor, id=pk, reason=form.cleaned_data["hold_reason"], now=request.now)
    say = messages.success if outcome.done else messages.warning
    say(request, outcome.sentence)
    return redirect("incident", request.project.name, held.incident_id)
