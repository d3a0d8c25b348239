"""One's own sessions: the list, the end of one, and the end of all others."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from dashboard import sessions as services
from dashboard.contexts import sessions as context
from dashboard.request import OwnRequest, signed_in


@require_GET
@never_cache
@signed_in
def sessions(request: OwnRequest) -> HttpResponse:
    here = request.session.session_key
    return render(request, "account/sessions.html", context.page(request.user, here, request.now))


@require_POST
@signed_in
def end(request: OwnRequest, pk: int) -> HttpResponse:
    if services.end(user=request.user, pk=pk, here=request.session.session_key):
        messages.success(request, "Ended. Its open pages are closed within seconds.")
    else:
        messages.info(request, "That session had ended before.")
    return redirect("sessions")


@require_POST
@signed_in
def end_others(request: OwnRequest) -> HttpResponse:
    ended = services.end_others(user=request.user, here=request.session.session_key)
    messages.success(request, f"Ended: {ended}. This one is the only one left.")
    return redirect("sessions")
