"""The worklist to take away: the effects of an incident or of a rollback, as CSV or JSON."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.http import Http404, HttpResponse, JsonResponse
from django.views.decorators.http import require_GET

from agents.models import Effect
from checkpoints import blast, queries
from dashboard.contexts import worklist
from dashboard.request import ProjectRequest, member
from dashboard.views.incidents import find

MOST = 10_000


@require_GET
@member()
def of_incident(request: ProjectRequest, pk: int, form: str) -> HttpResponse:
    """Since the last known good checkpoint of each of its agents."""
    effects = blast.effects_of_incident(find(request, pk))
    return _answer(effects[:MOST], form, f"effects-incident-{pk}")


@require_GET
@member()
def of_rollback(request: ProjectRequest, id: UUID, form: str) -> HttpResponse:
    """Between the checkpoint and the rollback."""
    found = queries.rollback(request.project.pk, id)
    if found is None:
        raise Http404
    return _answer(blast.effects_of_rollback(found)[:MOST], form, f"effects-rollback-{id.hex[:8]}")


def _answer(effects: Iterable[Effect], form: str, name: str) -> HttpResponse:
    """A file, under a name of ours; browsers neither open nor keep it."""
    response: HttpResponse
    if form == "csv":
        response = HttpResponse(worklist.as_csv(effects), content_type="text/csv; charset=utf-8")
    else:
        response = JsonResponse({"effects": worklist.as_rows(effects)})
    response["Content-Disposition"] = f'attachment; filename="{name}.{form}"'
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "no-store"
    return response
