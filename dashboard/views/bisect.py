"""Where a check began to fail: asked by a form whose address is the question."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dashboard.contexts import agent as around
from dashboard.contexts import bisect as context
from dashboard.request import ProjectRequest, member
from dashboard.views.agent import named


@require_GET
@member()
def bisect(request: ProjectRequest, name: str) -> HttpResponse:
    agent = named(request, name)
    shown = context.page(agent, request.GET, request.actor, request.now)
    return render(
        request, "bisect.html", around.page(agent, request.actor, request.now, "agent_checkpoints") | shown
    )
