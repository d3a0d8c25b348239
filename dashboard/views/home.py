"""The bare address: to the project of whoever is signed in."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from dashboard import shell


@login_required
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """The first project by name that is theirs; whoever has none is told whom to ask."""
    first = next(iter(shell.projects_of(request)), None)
    if first is None:
        return render(request, "nowhere.html", status=403)
    return redirect("fleet", project=first.name)
