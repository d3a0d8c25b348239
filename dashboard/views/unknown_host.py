"""A request that cannot be served as it is: mostly to a host name that this server does not know.

Such a request is answered 421, not 400: nothing is wrong with what was sent, and an agent keeps it.
"""

from __future__ import annotations

import re

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port
from django.shortcuts import render
from django.views.defaults import bad_request as unreadable

NAME = re.compile(r"[a-z0-9._:\[\]-]{1,100}", re.ASCII)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not isinstance(exception, DisallowedHost):
        return unreadable(request, exception)
    asked, _ = split_domain_port(request.META.get("HTTP_HOST", ""))
    name = asked if NAME.fullmatch(asked) else ""
    return render(request, "unknown_host.html", {"name": name}, status=421)
