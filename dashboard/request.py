"""The typed request: who asks, in which project, and when.

Every page of a project goes through `member`: sign-in, the project of the address, the right to do the
verb. Whoever is no member gets the same 404 as for a project that does not exist; a member whose role
does not reach gets a 403 that names the role. `now` is read once here and passed on.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from urllib.parse import urlsplit

from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import Resolver404, resolve
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme

from agents import access
from agents.models import Project, User

P = ParamSpec("P")


class ProjectRequest(HttpRequest):
    """A request of a member, in a project. Filled by `member`."""

    user: User
    project: Project
    actor: access.Actor
    now: datetime


class OwnRequest(HttpRequest):
    """A request of somebody who is signed in, about themselves. Filled by `signed_in`."""

    user: User
    now: datetime


OwnView = Callable[Concatenate[OwnRequest, P], HttpResponseBase]
ProjectView = Callable[Concatenate[ProjectRequest, P], HttpResponseBase]


def member(verb: str = "view") -> Callable[[ProjectView[P]], Callable[..., HttpResponseBase]]:
    """The view, for those who may do `verb` in the project of the address."""

    def decorate(view: ProjectView[P]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def guarded(request: Any, project: str, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return _ask_to_sign_in(request)
            found = Project.objects.filter(name=project).first()
            actor = access.person(request.user, found) if found else None
            if found is None or actor is None:
                raise Http404
            request.actor, request.project, request.now = actor, found, timezone.now()
            if not access.can(actor, verb, found):
                raise PermissionDenied(f"A {actor.role} of {project} may not do this.")
            return view(request, *args, **kwargs)

        return guarded

    return decorate


def signed_in(view: OwnView[P]) -> Callable[..., HttpResponseBase]:
    """The view, for whoever is signed in: it is about them alone, so no role is asked for."""

    @wraps(view)
    def guarded(request: Any, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return _ask_to_sign_in(request)
        request.now = timezone.now()
        return view(request, *args, **kwargs)

    return guarded


def _ask_to_sign_in(request: HttpRequest) -> HttpResponse:
    """To the door and back; a fragment must not fill itself with the door, so htmx loads it whole."""
    if request.headers.get("HX-Request"):
        return HttpResponse(status=401, headers={"HX-Refresh": "true"})
    if request.method == "GET":
        return redirect_to_login(request.get_full_path())
    page = _page_of_the_form(request)
    return redirect_to_login(page) if page else redirect("account_login")


def _page_of_the_form(request: HttpRequest) -> str:
    """Where the form stood, if that is a page of ours; one that was refused stands at its verb's address,
    which cannot be opened, and its page is above it."""
    address = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(address, {request.get_host()}, request.is_secure()):
        return ""
    parts = urlsplit(address)
    if not parts.path.startswith("/p/"):
        return ""
    if _opens(parts.path):
        return f"{parts.path}?{parts.query}" if parts.query else parts.path
    above = parts.path.rstrip("/").rpartition("/")[0] + "/"
    return above if _opens(above) else ""


def _opens(path: str) -> bool:
    """Whether it can be asked for by GET. Asked as nobody, a page sends to the door and a verb refuses."""
    asked = HttpRequest()
    asked.method, asked.path, asked.user = "GET", path, AnonymousUser()
    try:
        view = resolve(path)
    except Resolver404:
        return False
    answer = view.func(asked, *view.args, **view.kwargs)
    return not isinstance(answer, HttpResponseNotAllowed)
