"""A page that failed: our fault, or a server without room. Nothing but the template is asked for here."""

from __future__ import annotations

import sys

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from agents.api.problems import is_full


def failed(request: HttpRequest) -> HttpResponse:
    """A full disk is no bug: the page says so, and what to do."""
    full = is_full(sys.exc_info()[1])
    return HttpResponse(render_to_string("500.html", {"full": full}), status=503 if full else 500)
