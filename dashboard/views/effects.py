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
from dashboard.contexts.effects import REASONS, read_marks
from dashboard.request import ProjectRequest, member
from dashboard.views.agent import named, reason_of

NOT_SAID = "Choose an answer and a reason: whoever reads the log wants to know why."
NONE_TICKED = "Tick at least one of them."


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
def answer_many(request: ProjectRequest) -> HttpResponse:
    """Say the same of all that were ticked, as they were shown, or of none."""
    said, shown = request.POST.get("answer", ""), read_marks(request.POST.getlist("effect"))
    if not is_said(request, said):
        messages.error(request, NOT_SAID)
    elif not shown:
        messages.error(request, NONE_TICKED)
    else:
        done = worklist.answer_many(
            actor=request.actor,
            project_id=request.project.pk,
            shown=shown,
            said=cast(worklist.Answer, said),
            reason=reason_of(request),
            now=request.now,
        )
        (messages.success if done.name == "answered" else messages.warning)(request, done.sentence)
    page = place(request, reverse("fleet", args=[request.project.name]))
    return redirect(f"{page}#{'effects' if said in worklist.OF_DONE else 'asked'}")


def is_said(request: ProjectRequest, answer: str) -> bool:
    """Whether it is an answer, with one of its reasons."""
    return answer in REASONS and request.POST.get("reason") in REASONS[answer]


def back(request: ProjectRequest, name: str, id: str) -> HttpResponse:
    """Where the form stood, at this effect; else the agent's page."""
    page = place(request, reverse("agent", args=[request.project.name, name]))
    return redirect(f"{page}#answers-{id}")


def place(request: ProjectRequest, otherwise: str) -> str:
    """The page where the form stood; an address of another project or host is none."""
    page, here = request.POST.get("back", ""), reverse("fleet", args=[request.project.name])
    known = page.startswith(here) and url_has_allowed_host_and_scheme(page, None)
    return page.partition("#")[0] if known else otherwise
