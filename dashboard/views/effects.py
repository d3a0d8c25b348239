"""Answering for effects, which no rollback can undo: from an incident, or from a rollback's worklist."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from agents.services import worklist
from dashboard.contexts.effects import REASONS
from dashboard.request import ProjectRequest, member
from dashboard.views.agent import named, reason_of


@require_POST
@member("decide")
def answer(request: ProjectRequest, name: str, id: str) -> HttpResponse:
    """Tick one effect off: accepted, again, happened or did_not, and why."""
    agent, said = named(request, name), request.POST.get("answer", "")
    if said not in REASONS or request.POST.get("reason") not in REASONS[said]:
        messages.error(request, "Choose an answer and a reason: whoever reads the log wants to know why.")
        return back(request, name, id)
    done = worklist.answer(
        actor=request.actor,
        agent=agent,
        effect_id=id,
        said=cast(worklist.Answer, said),
        reason=reason_of(request),
        now=request.now,
    )
    if done.name == "not_found":
        raise Http404
    (messages.success if done.name == "answered" else messages.warning)(request, done.sentence)
    return back(request, name, id)


def back(request: ProjectRequest, name: str, id: str) -> HttpResponse:
    """Where the form stood, at this effect; an address of another project or host is none."""
    page, here = request.POST.get("back", ""), reverse("fleet", args=[request.project.name])
    if not page.startswith(here) or not url_has_allowed_host_and_scheme(page, None):
        page = reverse("agent", args=[request.project.name, name])
    return redirect(f"{page.partition('#')[0]}#answers-{id}")
