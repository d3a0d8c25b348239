"""Answering for effects, which no rollback can undo: from an incident, or from a rollback's worklist."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from agents.queries import effects
from agents.services import worklist
from dashboard.contexts.effects import REASONS, answerable
from dashboard.request import ProjectRequest, member
from dashboard.views.agent import named, reason_of
from dashboard.views.incidents import find

NOT_SAID = "Choose an answer and a reason: whoever reads the log wants to know why."


@require_POST
@member("decide")
def answer(request: ProjectRequest, name: str, id: str) -> HttpResponse:
    """Tick one effect off: accepted, again, happened or did_not, and why."""
    agent, said = named(request, name), request.POST.get("answer", "")
    if not is_said(request, said):
        messages.error(request, NOT_SAID)
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


@require_POST
@member("decide")
def answer_all(request: ProjectRequest, pk: int) -> HttpResponse:
    """Say the same of all that an incident still asks about."""
    incident, said = find(request, pk), request.POST.get("answer", "")
    if said not in ("happened", "did_not") or not is_said(request, said):
        messages.error(request, NOT_SAID)
        return redirect("incident", request.project.name, pk)
    open_ones = [item.effect for item in answerable(effects.asked(incident)) if item.is_open]
    done = [
        worklist.answer(
            actor=request.actor,
            agent=effect.instance.agent,
            effect_id=effect.pk,
            said=cast(worklist.Answer, said),
            reason=reason_of(request),
            now=request.now,
        ).name
        for effect in open_ones
    ]
    count = done.count("answered")
    messages.success(request, f"{count} {'is' if count == 1 else 'are'} answered for.")
    return redirect("incident", request.project.name, pk)


def is_said(request: ProjectRequest, answer: str) -> bool:
    """Whether it is an answer, with one of its reasons."""
    return answer in REASONS and request.POST.get("reason") in REASONS[answer]


def back(request: ProjectRequest, name: str, id: str) -> HttpResponse:
    """Where the form stood, at this effect; an address of another project or host is none."""
    page, here = request.POST.get("back", ""), reverse("fleet", args=[request.project.name])
    if not page.startswith(here) or not url_has_allowed_host_and_scheme(page, None):
        page = reverse("agent", args=[request.project.name, name])
    return redirect(f"{page.partition('#')[0]}#answers-{id}")
