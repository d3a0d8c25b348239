"""The page before a rollback, which orders it, and the page of one that was ordered."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from agents import access
from checkpoints import queries
from checkpoints.models import Checkpoint, Rollback
from checkpoints.services import aiming, rollbacks
from dashboard import anew
from dashboard.contexts.rolling import asked, one, page
from dashboard.contexts.rolling.asked import Asked
from dashboard.decide_form import BackForm
from dashboard.request import ProjectRequest, member
from dashboard.views.checkpoints import find

REGION = "roll-back"


@require_http_methods(["GET", "POST"])
@member()
def roll_back(request: ProjectRequest, pk: UUID) -> HttpResponse:
    """What it will do, by GET; it is done as the address says, by POST."""
    target, wish = find(request, pk), asked.read(request.GET)
    if request.method == "GET":
        return _page(request, target, wish)
    if not access.can(request.actor, "decide", target):
        raise PermissionDenied(f"A {request.actor.role} of {request.project} may not do this.")
    form = BackForm(request.POST)
    if not form.is_valid():
        return _page(request, target, wish, form)
    try:
        row = _ordered(request, target, wish, form)
    except aiming.Refused as refused:
        at_door = anew.asked(request, refused, request.get_full_path())
        return at_door or _page(request, target, wish, form, refused)
    if row is None:
        return redirect("incident", request.project.name, form.cleaned_data["incident"])
    return redirect("rollback", request.project.name, row.pk)


@require_GET
@member()
def rollback(request: ProjectRequest, id: UUID) -> HttpResponse:
    return render(request, "rollback.html", one.whole(_find(request, id), request.actor, request.now))


@require_GET
@member()
def rollback_now(request: ProjectRequest, id: UUID) -> HttpResponse:
    """The card below the top bar; it has forms with a person's token in them, so it is never kept."""
    shown = one.whole(_find(request, id), request.actor, request.now)
    response = render(request, "partials/rollback_card.html", shown)
    response["Cache-Control"] = "no-store"
    return response


def _ordered(request: ProjectRequest, target: Checkpoint, wish: Asked, form: BackForm) -> Rollback | None:
    """By the incident's decision when it goes on from there, else as an order; None: a second is asked."""
    wanted = form.wanted(target.pk, page.scope_of(target, wish))
    if not wish.goes_on:
        ordered = rollbacks.order(
            actor=anew.actor(request), agent=target.agent, wanted=wanted, now=request.now
        )
        return ordered.rollbacks[0]
    said = form.cleaned_data
    outcome = rollbacks.decide(
        actor=anew.actor(request),
        incident_id=said["incident"] or 0,
        version=said["version"] or 0,
        wanted=wanted,
        guidance=said["guidance"],
        probation=said["probation"],
        now=request.now,
    )
    if outcome.name == "asked":
        return None
    if outcome.name != "decided":
        raise aiming.Refused(outcome.name, outcome.sentence, "")
    return Rollback.objects.get(command=outcome.results[0].command)


def _page(
    request: ProjectRequest,
    target: Checkpoint,
    wish: Asked,
    form: BackForm | None = None,
    refused: aiming.Refused | None = None,
) -> HttpResponse:
    """The whole page, or its region for htmx; after a refusal with what was typed, and why."""
    shown: dict[str, Any] = page.whole(target, wish, request.actor, request.now)
    status = 200
    if form is None:
        shown |= anew.back(request)
    else:
        shown["typed"] = {name: form.data.get(name, "") for name in ("reason", "note", "guidance")}
        shown["errors"] = {name: errors[0] for name, errors in form.errors.items()}
        shown["refused"] = anew.why(refused) if refused else ""
        status = refused.status if refused else 422
    alone = request.headers.get("HX-Target") == REGION
    template = "partials/roll_back_card.html" if alone else "roll_back.html"
    response = render(request, template, shown, status=status)
    response["Cache-Control"] = "no-store"
    return response


def _find(request: ProjectRequest, id: UUID) -> Rollback:
    found = queries.rollback(request.project.pk, id)
    if found is None:
        raise Http404
    return found
