"""The fleet page and its three fragments: what waits, the table, one row."""

from __future__ import annotations

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_GET

from agents.models import Status
from agents.queries import fleet as agents
from agents.queries import incidents
from agents.queries.fleet import SORTS, Filter
from dashboard import fragments
from dashboard.contexts import fleet as context
from dashboard.request import ProjectRequest, member


@require_GET
@member()
def fleet(request: ProjectRequest) -> HttpResponse:
    shown = context.whole(request.project, asked(request), request.now, request.actor)
    return render(request, "fleet.html", shown)


@require_GET
@member()
def waiting(request: ProjectRequest) -> HttpResponse:
    """The waiting list; 204 while it is as the page has it."""
    have = context.waiting_mark(request.project, request.now)
    if request.GET.get("have") == have:
        return fragments.unchanged()
    key = ("waiting", request.project.pk, have)
    shown = context.waiting_list
    return fragments.fresh(
        fragments.kept(
            key,
            lambda: render_to_string("partials/fleet_waiting.html", shown(request.project, request.now)),
        )
    )


@require_GET
@member()
def table(request: ProjectRequest) -> HttpResponse:
    """The table; 204 while the same agents stand in the same order with the same status."""
    filter = asked(request)
    counts = agents.counts(request.project)
    if "have" in request.GET:
        order = agents.order(request.project, filter)
        if request.GET["have"] == context.mark(request.project, filter, order, counts):
            return fragments.unchanged()
    role = request.actor.role
    key = ("table", request.project.pk, request.project.version, filter, role)
    return fragments.fresh(
        fragments.kept(
            key,
            lambda: render_to_string(
                "partials/fleet_table.html",
                context.table(request.project, filter, request.now, request.actor),
            ),
        )
    )


@require_GET
@member()
def row(request: ProjectRequest, pk: int) -> HttpResponse:
    """One row, known by its agent's version and the last minute of its bars."""
    known = agents.version(request.project, pk)
    if known is None:
        raise Http404
    version, until = known
    key = ("row", pk, version, until and int(until.timestamp()), request.actor.role)

    def rendered() -> str:
        held = incidents.holding(request.project, pk)
        shown = context.one_row(request.project, pk, held, request.now, request.actor)
        return render_to_string("partials/fleet_row.html", shown) if shown else ""

    return fragments.answer(request, key, rendered)


def asked(request: ProjectRequest) -> Filter:
    """The filter of the address; what is not understood is at rest."""
    status, sort, page = (request.GET.get(name, "") for name in ("status", "sort", "page"))
    return Filter(
        status=status if status in Status.values else "",
        text=request.GET.get("q", "").replace("\x00", "").strip()[:63],
        sort=sort if sort in SORTS else "human",
        page=int(page) if page.isascii() and page.isdigit() and len(page) < 6 and int(page) else 1,
    )
