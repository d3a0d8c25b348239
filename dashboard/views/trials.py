"""Try one first: begun from the incident's page, and called off there."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from agents.services import trials
from dashboard.decide_form import TryForm
from dashboard.request import ProjectRequest, member
from dashboard.views.incidents import find, page


@require_POST
@member("decide")
def begin(request: ProjectRequest, pk: int) -> HttpResponse:
    """One goes on, on probation; the others follow it or stay."""
    incident, form = find(request, pk), TryForm(request.POST)
    if not form.is_valid():
        return page(request, incident, form=form)
    said = form.cleaned_data
    outcome = trials.begin(
        actor=request.actor,
        incident_id=pk,
        agent=said["first"],
        version=said["version"],
        reason=form.why(),
        guidance=said["guidance"],
        now=request.now,
    )
    if outcome.name == "not_found":
        raise Http404
    if outcome.name not in ("decided", "asked"):
        return page(request, find(request, pk), form=form, refused=outcome.sentence)
    return redirect("incident", request.project.name, pk)


@require_POST
@member("decide")
def end(request: ProjectRequest, pk: int) -> HttpResponse:
    """Nobody follows by themselves."""
    find(request, pk)
    if not trials.call_off(actor=request.actor, incident_id=pk, now=request.now):
        messages.warning(request, "Nothing is being tried here any more.")
    return redirect("incident", request.project.name, pk)
