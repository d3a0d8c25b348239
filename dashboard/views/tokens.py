"""Tokens: the list, a new one (its text is in the answer and nowhere else), and the end of one."""

from __future__ import annotations

import re
from datetime import timedelta

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from agents.models import Scope, Token
from agents.services import tokens as services
from agents.services.tokens import Made
from dashboard import anew
from dashboard.contexts import tokens as context
from dashboard.contexts.asked import words
from dashboard.request import ProjectRequest, member

ID = re.compile(r"[0-9A-Za-z]{12}", re.ASCII)
AGAIN = "This form was sent already; its token was shown then, and cannot be shown again."


@require_GET
@member()
def tokens(request: ProjectRequest) -> HttpResponse:
    return render(request, "tokens.html", context.page(request.project, request.actor, request.now))


@require_POST
@never_cache
@member("tokens")
@anew.proven("tokens")
def make(request: ProjectRequest) -> HttpResponse:
    label = words(request.POST.get("label", ""), 100).strip()
    if not label:
        shown = context.page(request.project, request.actor, request.now, error="Say what it is for.")
        return render(request, "tokens.html", shown, status=422)
    made = made_for(request, label, request.POST.get("scope", ""), request.POST.get("lasts", ""))
    if made.text is None:
        messages.warning(request, AGAIN)
        return redirect("tokens", request.project.name)
    return render(request, "tokens.html", context.page(request.project, request.actor, request.now, made))


@require_POST
@member("tokens")
def revoke(request: ProjectRequest, pk: int) -> HttpResponse:
    if not Token.objects.filter(project=request.project, pk=pk).exists():
        raise Http404
    if services.revoke(project=request.project, pk=pk, by=request.actor.name, now=request.now):
        messages.success(request, "Revoked. Whoever uses this token is refused from now on.")
    else:
        messages.info(request, "It had been revoked before.")
    return redirect("tokens", request.project.name)


def made_for(request: ProjectRequest, label: str, scope: str, lasts: str) -> Made:
    """A token as the form asks for it, within what this person may hand out."""
    if scope not in dict(context.scopes(request.actor, request.project)):
        raise PermissionDenied("A token of this scope takes another role than yours.")
    days = int(lasts) if lasts in dict(context.LASTS) and lasts else None
    id = request.POST.get("id", "")
    return services.make(
        project=request.project,
        scope=Scope(scope),
        label=label,
        by=request.actor.name,
        now=request.now,
        user=request.user,
        expires_at=request.now + timedelta(days=days) if days else None,
        id=id if ID.fullmatch(id) else None,
    )
