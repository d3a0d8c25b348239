"""People of a project: the list, an invitation (its link is in the answer and nowhere else), roles."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from agents.models import Role
from agents.services import invitations
from agents.services import people as services
from dashboard import anew
from dashboard.contexts import people as context
from dashboard.contexts.asked import words
from dashboard.request import ProjectRequest, member


@require_GET
@member()
def people(request: ProjectRequest) -> HttpResponse:
    return render(request, "people.html", context.page(request.project, request.actor, request.now))


@require_POST
@never_cache
@member("people")
@anew.proven("people")
def invite(request: ProjectRequest) -> HttpResponse:
    """A role for this address; who does not sign in yet gets a link that works once, for a day."""
    email = words(request.POST.get("email", ""), 254).strip().lower()
    try:
        role = Role(request.POST.get("role", ""))
        validate_email(email)
        done = invitations.invite(
            email=email, role=role, project=request.project, by=request.actor.name, now=request.now
        )
    except ValidationError:
        return _refused(request, email, "Write one e-mail address, like dora@example.com.")
    except invitations.NotInvited as refused:
        return _refused(request, email, str(refused))
    except ValueError:
        return _refused(request, email, "Choose a role.")
    if done.secret is None:
        messages.success(request, f"{email} signs in already, and is {role} here now.")
        return redirect("people", request.project.name)
    link = request.build_absolute_uri(reverse("first_admin", args=[done.secret]))
    shown = context.page(request.project, request.actor, request.now, link=link, invited=email)
    return render(request, "people.html", shown)


@require_POST
@member("people")
@anew.proven("people")
def set_role(request: ProjectRequest, pk: int) -> HttpResponse:
    try:
        role = Role(request.POST.get("role", ""))
        if services.set_role(actor=request.actor, pk=pk, role=role, now=request.now):
            messages.success(request, f"Now {role}. Open pages notice within seconds.")
    except services.Refused as refused:
        messages.error(request, str(refused))
    except ValueError:
        messages.error(request, "Choose a role.")
    return redirect("people", request.project.name)


@require_POST
@member("people")
@anew.proven("people")
def remove(request: ProjectRequest, pk: int) -> HttpResponse:
    try:
        if not services.remove(actor=request.actor, pk=pk, now=request.now):
            raise Http404
        messages.success(request, "Removed. They see nothing of this project from now on.")
    except services.Refused as refused:
        messages.error(request, str(refused))
    return redirect("people", request.project.name)


def _refused(request: ProjectRequest, email: str, why: str) -> HttpResponse:
    shown = context.page(request.project, request.actor, request.now, error=why, typed=email)
    return render(request, "people.html", shown, status=422)
