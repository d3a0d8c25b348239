"""The worklist to take away: the effects of an incident or of a rollback, as CSV or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.http import Http404, HttpResponse
from django.views.decorators.http import require_GET

from agents.models import Effect
from checkpoints import blast, queries
from dashboard import tables
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
    if form == "csv":
        return tables.file(worklist.as_csv(effects), form, name)
    body = json.dumps({"effects": worklist.as_rows(effects)}, cls=DjangoJSONEncoder)
    return tables.file(body, form, name)
