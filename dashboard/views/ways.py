"""One's own ways to be told: each person adds, tests, orders and removes theirs, and nobody else's.

A way that is not there, or is somebody else's, is answered alike: it was removed before.
"""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from agents.services import own_ways, targets
from dashboard.contexts import ways as context
from dashboard.contexts.asked import words
from dashboard.request import ProjectRequest, member

GONE = "That way was removed before."


@require_GET
@member()
def ways(request: ProjectRequest) -> HttpResponse:
    return render(request, "ways.html", context.page(request.project, request.user, request.now))


@require_POST
@member()
def add(request: ProjectRequest, kind: str) -> HttpResponse:
    if kind not in context.KINDS:
        raise Http404
    said = {name: words(request.POST.get(name, ""), 2_000).strip() for name in context.KINDS[kind]}
    label = words(request.POST.get("label", ""), 200).strip()
    try:
        own_ways.add_one(actor=request.actor, kind=kind, label=label, said=said, now=request.now)
    except targets.Refused as refused:
        shown = context.page(request.project, request.user, request.now, kind=kind, error=str(refused))
        return render(request, "ways.html", shown, status=422)
    messages.success(request, "Kept. Send a test to see that it reaches you.")
    return redirect("ways", request.project.name)


@require_POST
@member()
def test(request: ProjectRequest, pk: int) -> HttpResponse:
    ordered = targets.test(actor=request.actor, pk=pk, now=request.now, person=request.user)
    return _answer(request, ordered is not None, "A test is on its way; what became of it is said beside it.")


@require_POST
@member()
def turn(request: ProjectRequest, pk: int) -> HttpResponse:
    on = request.POST.get("to") == "on"
    done = targets.turn(actor=request.actor, pk=pk, on=on, now=request.now, person=request.user)
    return _answer(request, done, "It is on." if on else "It is off.")


@require_POST
@member()
def first(request: ProjectRequest, pk: int) -> HttpResponse:
    return _answer(request, own_ways.put_first(actor=request.actor, pk=pk), "It is told first.")


@require_POST
@member()
def remove(request: ProjectRequest, pk: int) -> HttpResponse:
    done = targets.remove(actor=request.actor, pk=pk, now=request.now, person=request.user)
    return _answer(request, done, "Removed.")


def _answer(request: ProjectRequest, done: bool, said: str) -> HttpResponse:
    messages.add_message(request, messages.SUCCESS if done else messages.INFO, said if done else GONE)
    return redirect("ways", request.project.name)
