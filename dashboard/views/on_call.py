"""On call: who is on duty and who is told, and the forms that say so."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Model
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from agents.models import EscalationPolicy, Schedule, Team
from agents.services import on_call as services
from dashboard.contexts import on_call as context
from dashboard.contexts import on_call_forms as forms
from dashboard.contexts.asked import moment, number
from dashboard.request import ProjectRequest, member

KINDS: dict[str, tuple[type[Model], str]] = {
    "teams": (Team, "team"),
    "rotas": (Schedule, "rota"),
    "policies": (EscalationPolicy, "policy"),
}


@require_GET
@member()
def on_call(request: ProjectRequest) -> HttpResponse:
    return render(request, "on_call.html", context.page(request.project, request.actor, request.now))


@require_http_methods(["GET", "HEAD", "POST"])
@member("targets")
def team(request: ProjectRequest, pk: int | None = None) -> HttpResponse:
    """A new one, or a change."""
    row = pk and get_object_or_404(Team, project=request.project, pk=pk)
    shown = forms.team(request.project, row or None)
    if request.method != "POST":
        return _form(request, "team", shown)
    name, members = forms.read_team(request.POST)
    try:
        services.keep_team(actor=request.actor, pk=pk, name=name, members=members, now=request.now)
    except services.Refused as refused:
        return _form(request, "team", forms.again(shown, request.POST, refused), status=422)
    return _kept(request)


@require_http_methods(["GET", "HEAD", "POST"])
@member("targets")
def rota(request: ProjectRequest, pk: int | None = None) -> HttpResponse:
    row = pk and get_object_or_404(Schedule, project=request.project, pk=pk)
    shown = forms.rota(request.project, row or None, request.now)
    if request.method != "POST":
        return _form(request, "rota", shown)
    try:
        name, people, hours = forms.read_rota(request.POST)
        services.keep_rota(actor=request.actor, pk=pk, name=name, people=people, hours=hours, now=request.now)
    except services.Refused as refused:
        return _form(request, "rota", forms.again(shown, request.POST, refused), status=422)
    return _kept(request)


@require_http_methods(["GET", "HEAD", "POST"])
@member("targets")
def policy(request: ProjectRequest, pk: int | None = None) -> HttpResponse:
    row = pk and get_object_or_404(EscalationPolicy, project=request.project, pk=pk)
    shown = forms.policy(request.project, row or None, request.now)
    if request.method != "POST":
        return _form(request, "policy", shown)
    try:
        rules = forms.read_policy(request.POST)
        services.keep_policy(actor=request.actor, pk=pk, rules=rules, now=request.now)
    except services.Refused as refused:
        return _form(request, "policy", forms.again(shown, request.POST, refused), status=422)
    return _kept(request)


@require_POST
@member("targets")
def remove(request: ProjectRequest, kind: str, pk: int) -> HttpResponse:
    model, what = KINDS[kind]
    if not services.remove(actor=request.actor, kind=model, what=what, pk=pk, now=request.now):
        raise Http404
    messages.success(request, f"Removed. A step that names this {what} tells every channel from now on.")
    return redirect("on_call", request.project.name)


@require_POST
@member("acknowledge")
def stand_in(request: ProjectRequest, pk: int) -> HttpResponse:
    """Somebody else for a while; both times are read as UTC, as the form says."""
    starts, ends = moment(request.POST.get("starts_at", "")), moment(request.POST.get("ends_at", ""))
    try:
        if starts is None or ends is None:
            raise services.Refused("ends_at", "Write from when until when.")
        made = services.stand_in(
            actor=request.actor, schedule_id=pk, person=number(request.POST.get("person", "")) or 0,
            starts_at=starts, ends_at=ends, now=request.now,
        )  # fmt: skip
    except services.Refused as refused:
        shown = context.page(request.project, request.actor, request.now)
        return render(request, "on_call.html", shown | {"why": str(refused)}, status=422)
    if made is None:
        raise Http404
    return _kept(request)


@require_POST
@member("acknowledge")
def end_stand_in(request: ProjectRequest, pk: int) -> HttpResponse:
    if not services.end_stand_in(actor=request.actor, pk=pk, now=request.now):
        raise Http404
    messages.success(request, "Ended: the rota's own turns hold again.")
    return redirect("on_call", request.project.name)


def _form(request: ProjectRequest, what: str, shown: dict[str, Any], status: int = 200) -> HttpResponse:
    page = {"project": request.project, "what": what, "form": f"partials/on_call_{what}.html"}
    return render(request, "on_call_form.html", page | shown, status=status)


def _kept(request: ProjectRequest) -> HttpResponse:
    messages.success(request, "Kept. It holds for incidents that open from now on.")
    return redirect("on_call", request.project.name)
