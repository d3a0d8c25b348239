"""The morning page, and the hand-over that is printed from it."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dashboard.contexts import shift as context
from dashboard.request import ProjectRequest, member


@require_GET
@member()
def shift(request: ProjectRequest) -> HttpResponse:
    return render(request, "shift.html", context.page(request.project, request.GET, request.now))
