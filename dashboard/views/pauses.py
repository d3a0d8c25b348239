"""A pause's own address, which an agent can name before the server has heard of it."""

from __future__ import annotations

import uuid

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from agents.models import Pause
from dashboard import shell
from dashboard.request import OwnRequest, signed_in


@require_GET
@signed_in
def pause(request: OwnRequest, id: uuid.UUID) -> HttpResponse:
    """To the incident where one decides about it."""
    mine = [project.pk for project in shell.projects_of(request)]
    found = (
        Pause.objects.filter(pk=id, incident__project__in=mine).select_related("incident__project").first()
    )
    if found is None:
        return render(request, "pause_unknown.html", status=404)
    return redirect("incident", project=found.incident.project.name, pk=found.incident_id)
