"""What waits for a second person: confirmed or declined from the incident's page."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from agents.services import approvals
from checkpoints.services import aiming, confirming
from dashboard import anew
from dashboard.decide_form import ConfirmForm, DeclineForm
from dashboard.request import ProjectRequest, member
from dashboard.views.incidents import find, page


@require_POST
@member("decide")
def confirm(request: ProjectRequest, pk: int, id: uuid.UUID) -> HttpResponse:
    """Be the second: what was asked for is decided in both names."""
    incident, form = find(request, pk), ConfirmForm(request.POST)
    if not form.is_valid():
        return page(request, incident, form=form, refused="The form is not whole: look again.")
    try:
        outcome = confirming.confirm(
            actor=anew.actor(request),
            incident_id=pk,
            id=id,
            version=form.cleaned_data["version"],
            now=request.now,
        )
    except aiming.Refused as refused:
        at_door = anew.asked(request, refused, reverse("incident", args=[request.project.name, pk]))
        return at_door or page(request, incident, form=form, refused=anew.why(refused))
    if outcome.name == "not_found":
        raise Http404
    if outcome.name != "decided":
        return page(request, find(request, pk), form=form, refused=outcome.sentence)
    return redirect("incident", request.project.name, pk)


@require_POST
@member("decide")
def decline(request: ProjectRequest, pk: int, id: uuid.UUID) -> HttpResponse:
    """Say no, or take one's own back."""
    incident, form = find(request, pk), DeclineForm(request.POST)
    if not form.is_valid():
        return page(request, incident, form=form)
    done = approvals.decline(
        actor=request.actor, incident_id=pk, id=id, reason=form.cleaned_data["note"], now=request.now
    )
    if done is None:
        raise Http404
    (messages.warning if done.name else messages.success)(request, done.sentence)
    return redirect("incident", request.project.name, pk)
