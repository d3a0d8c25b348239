"""How many incidents wait: the number beside *Incidents* on every page, kept true while the page is open."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dashboard import shell
from dashboard.request import ProjectRequest, member


@require_GET
@member()
def waiting_count(request: ProjectRequest) -> HttpResponse:
    return render(
        request, "layout/waiting_count.html", {"waiting": shell.waiting(request.project), "again": True}
    )
