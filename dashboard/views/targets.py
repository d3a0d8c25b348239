"""Alert targets: two typed forms, a test that goes the whole way, and what became of each message."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from agents.models import AlertTarget
from agents.services import channels, targets
from dashboard import anew, fragments
from dashboard.contexts import alerts as context
from dashboard.contexts.asked import words
from dashboard.request import ProjectRequest, member

HOURS = {str(hour) for hour in range(24)}


@require_GET
@member()
def alerts(request: ProjectRequest) -> HttpResponse:
    return render(request, "alerts.html", context.page(request.project, request.actor, request.now))


@require_GET
@member()
def now(request: ProjectRequest) -> HttpResponse:
    """Targets and receipts, for their refetch."""
    return _region(request)


@require_POST
@never_cache
@member("targets")
@anew.proven("alerts")
def add(request: ProjectRequest, kind: str) -> HttpResponse:
    """A webhook's new secret is in the answer, and nowhere else."""
    if kind in channels.CHANNELS:
        return _keep_channel(request, kind, None)
    if kind not in AlertTarget.Kind.values:
        raise Http404
    label, address = _typed(request)
    if AlertTarget.objects.filter(project=request.project, kind=kind, address=address, person=None).exists():
        return _refused(request, kind, "This address is a target already.")
    try:
        kept = targets.add(
            actor=request.actor, kind=kind, label=label, address=address, now=request.now,
            daily_hour=_daily_hour(request),
        )  # fmt: skip
    except targets.Refused as refused:
        return _refused(request, kind, str(refused))
    return _shown(request, kept)


@require_POST
@never_cache
@member("targets")
@anew.proven("alerts")
def change(request: ProjectRequest, pk: int) -> HttpResponse:
    """Another label or address; a webhook's new address gets a new secret, shown in the answer."""
    label, address = _typed(request)
    target = get_object_or_404(AlertTarget, project=request.project, person=None, pk=pk)
    if target.kind in channels.CHANNELS:
        return _keep_channel(request, target.kind, pk)
    try:
        kept = targets.change(
            actor=request.actor, pk=pk, label=label, address=address, enabled=target.enabled,
            now=request.now, changes="changes" in request.POST, daily_hour=_daily_hour(request),
        )  # fmt: skip
    except targets.Refused as refused:
        return _refused(request, str(pk), str(refused))
    if kept is None:
        raise Http404
    return _shown(request, kept)


@require_POST
@member("targets")
def turn(request: ProjectRequest, pk: int) -> HttpResponse:
    """On or off; the form says which, so that two clicks agree."""
    on = request.POST.get("to") == "on"
    if not targets.turn(actor=request.actor, pk=pk, on=on, now=request.now):
        raise Http404
    return redirect("alerts", request.project.name)


@require_POST
@member("targets")
def remove(request: ProjectRequest, pk: int) -> HttpResponse:
    if not targets.remove(actor=request.actor, pk=pk, now=request.now):
        raise Http404
    messages.success(request, "Removed. It is told nothing from now on.")
    return redirect("alerts", request.project.name)


@require_POST
@member("targets")
def test(request: ProjectRequest, pk: int) -> HttpResponse:
    """Orders a test message; what became of it appears beside the target."""
    if targets.test(actor=request.actor, pk=pk, now=request.now) is None:
        raise Http404
    if request.headers.get("HX-Request"):
        return _region(request)
    return redirect("alerts", request.project.name)


def _keep_channel(request: ProjectRequest, kind: str, pk: int | None) -> HttpResponse:
    """All that the service asks for, typed anew: nothing that was kept is shown back."""
    label = words(request.POST.get("label", ""), 200).strip()
    said = {
        field.name: words(request.POST.get(field.name, ""), 2_000) for field in channels.CHANNELS[kind].fields
    }
    try:
        kept = targets.add_channel(
            actor=request.actor, kind=kind, label=label, said=said, now=request.now, pk=pk,
            daily_hour=_daily_hour(request),
        )  # fmt: skip
    except targets.Refused as refused:
        return _refused(request, kind if pk is None else str(pk), str(refused))
    if kept is None:
        raise Http404
    return _shown(request, targets.Kept(kept, None))


def _region(request: ProjectRequest) -> HttpResponse:
    shown = context.listed(request.project, request.actor, request.now)
    return fragments.fresh(render_to_string("partials/target_region.html", shown, request))


def _typed(request: ProjectRequest) -> tuple[str, str]:
    """Bounded, and longer than any address may be: one that is cut would pass, and lead elsewhere."""
    label, address = (words(request.POST.get(name, ""), 2_000).strip() for name in ("label", "address"))
    return label, address


def _daily_hour(request: ProjectRequest) -> int | None:
    """The hour of its daily test; anything else is none."""
    said = request.POST.get("daily", "")
    return int(said) if said in HOURS else None


def _shown(request: ProjectRequest, kept: targets.Kept) -> HttpResponse:
    if kept.secret is None:
        messages.success(request, "Kept. Send a test to see that it arrives.")
        return redirect("alerts", request.project.name)
    shown = context.page(request.project, request.actor, request.now, kept=kept)
    return render(request, "alerts.html", shown)


def _refused(request: ProjectRequest, form: str, why: str) -> HttpResponse:
    label, address = _typed(request)
    is_private = form != AlertTarget.Kind.EMAIL and "@" in address  # a password may stand before it
    typed = context.Typed(form, label, "" if is_private else address, why)
    shown = context.page(request.project, request.actor, request.now, typed=typed)
    return render(request, "alerts.html", shown, status=422)
