"""The incidents: the list, the card of one, and their fragments."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_GET

from agents.models import Incident
from agents.queries import incidents as found
from dashboard import anew, fragments
from dashboard.contexts import incident as context
from dashboard.contexts import incident_list
from dashboard.decide_form import DecideForm
from dashboard.request import ProjectRequest, member

TYPED = ("reason", "stop_reason", "note", "guidance")


@require_GET
@member()
def incidents(request: ProjectRequest) -> HttpResponse:
    return render(request, "incidents.html", incident_list.whole(request.project, request.GET, request.now))


@require_GET
@member()
def incidents_list(request: ProjectRequest) -> HttpResponse:
    """The list; 304 while the project is as the page has it."""
    key = ("incidents", request.project.pk, request.project.version, request.GET.urlencode())
    shown = incident_list.whole
    return fragments.answer(
        request,
        key,
        lambda: render_to_string(
            "partials/incident_list.html", shown(request.project, request.GET, request.now)
        ),
    )


@require_GET
@member()
def incident(request: ProjectRequest, pk: int) -> HttpResponse:
    return page(request, find(request, pk))


@require_GET
@member()
def incident_now(request: ProjectRequest, pk: int) -> HttpResponse:
    """The card below the top bar."""
    return _fragment(request, pk, "partials/incident_card.html")


@require_GET
@member()
def incident_bar(request: ProjectRequest, pk: int) -> HttpResponse:
    """The phone's bar at the bottom, with its sheets."""
    return _fragment(request, pk, "partials/incident_bar.html")


def _fragment(request: ProjectRequest, pk: int, template: str) -> HttpResponse:
    """It has forms with a person's token in them, so it is nobody else's: never kept."""
    response = render(request, template, context.whole(find(request, pk), request.actor, request.now))
    response["Cache-Control"] = "no-store"
    return response


def find(request: ProjectRequest, pk: int) -> Incident:
    incident = found.one(request.project, pk)
    if incident is None:
        raise Http404
    return incident


def _beside(form: forms.Form, field: str) -> str:
    """The field of the page that the error stands at: the card's stop has a reason of its own."""
    return "stop_reason" if field == "reason" and form.data.get("from") == "card" else field


def page(
    request: ProjectRequest,
    incident: Incident,
    *,
    form: forms.Form | None = None,
    refused: str = "",
) -> HttpResponse:
    """The whole page; after a refusal with what was typed, why it was refused and what has changed."""
    shown: dict[str, Any] = context.whole(incident, request.actor, request.now)
    status = 200
    if form is None:
        shown |= anew.back(request)
    else:
        until = form.seen_until() if isinstance(form, DecideForm) and form.is_valid() else None
        shown["typed"] = {name: form.data.get(name, "") for name in TYPED}
        shown["errors"] = {_beside(form, name): errors[0] for name, errors in form.errors.items()}
        shown["changes"] = context.changes_since(incident, until) if refused and until else []
        shown["refused"] = refused
        status = 409 if refused else 422
    return render(request, "incident.html", shown, status=status)
