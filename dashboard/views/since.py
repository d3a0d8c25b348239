"""*Since when?* of one value or one file of a comparison."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404, HttpResponse
from django.views.decorators.http import require_GET

from checkpoints import queries, since
from checkpoints.compared import UNREADABLE
from dashboard.contexts.comparing import paths
from dashboard.contexts.comparing import since as context
from dashboard.request import ProjectRequest, member
from dashboard.views.compare import DAMAGED, pair_of, part, uuid_of


@require_GET
@member()
def since_when(request: ProjectRequest, a: UUID, b: UUID) -> HttpResponse:
    """As it is in the newer one; `back` goes on from where a walk met its bound."""
    pair, asked = pair_of(request, a, b), request.GET
    file, place = (
        paths.file_read(asked.get("path", "")) or None,
        paths.read(asked.get("at", asked.get("was", ""))),
    )
    back = uuid_of(asked.get("back", ""))
    start = queries.of_agent(pair.new.agent_id, back) if back else pair.new
    if (file is None and place is None) or start is None:
        raise Http404
    try:
        found = since.file(start, file) if file is not None else since.value(start, place or ())
        shown = context.shown(pair, found, file, place, request.now)
    except UNREADABLE as error:
        return part(request, pair, {"error": DAMAGED.format(error)})
    return part(request, pair, {"since": shown})
