"""Who has an incident: given back, kept paused until a time, given to somebody, written beside."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from agents.models import User
from agents.services import having
from dashboard.contexts.asked import moment, number, words
from dashboard.request import ProjectRequest, member

NOBODY = "Choose somebody who may decide in this project."


@require_POST
@member("acknowledge")
def give_back(request: ProjectRequest, pk: int) -> HttpResponse:
    done = having.give_back(actor=request.actor, incident_id=pk, now=request.now)
    return _back(request, pk, done, "It is open again: the next page goes out now.")


@require_POST
@member("acknowledge")
def snooze(request: ProjectRequest, pk: int) -> HttpResponse:
    """For so many minutes, or until a time (UTC)."""
    minutes, until = number(request.POST.get("minutes", "")), moment(request.POST.get("until", ""))
    if until is None:
        until = request.now + timedelta(minutes=min(minutes or 0, 10**6))
    reason = words(request.POST.get("note", ""), 400).strip()
    try:
        done = having.snooze(actor=request.actor, incident_id=pk, until=until, reason=reason, now=request.now)
    except having.Refused as refused:
        messages.error(request, str(refused))
        return redirect("incident", request.project.name, pk)
    return _back(request, pk, done, f"Kept paused until {until:%H:%M} UTC; then everybody is told again.")


@require_POST
@member("acknowledge")
def assign(request: ProjectRequest, pk: int) -> HttpResponse:
    to = User.objects.filter(pk=number(request.POST.get("person", "")) or 0, is_active=True).first()
    try:
        if to is None:
            raise having.Refused(NOBODY)
        done = having.assign(actor=request.actor, incident_id=pk, to=to, reason="", now=request.now)
    except having.Refused:
        messages.error(request, NOBODY)  # not who they are: they may be of another project
        return redirect("incident", request.project.name, pk)
    return _back(request, pk, done, f"Given to {to}. They are told now.")


@require_POST
@member("acknowledge")
def note(request: ProjectRequest, pk: int) -> HttpResponse:
    said = words(request.POST.get("note", ""), 2_000).strip()
    if not said:
        messages.error(request, "Write something first.")
    elif having.note(actor=request.actor, incident_id=pk, words=said, now=request.now) is None:
        raise Http404
    return redirect("incident", request.project.name, pk)


def _back(request: ProjectRequest, pk: int, done: having.Had, sentence: str) -> HttpResponse:
    if done == "not_found":
        raise Http404
    if done == "done":
        messages.success(request, sentence)
    else:
        messages.info(request, "It was so already, or it was decided meanwhile.")
    return redirect("incident", request.project.name, pk)
