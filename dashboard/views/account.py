"""One's own account: the address, which is not one's own to change, and what is closed of allauth's pages.

An address is whom an administrator let in: whoever could change theirs by themselves could take the one that
somebody else is invited under next, and their role with it.
"""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dashboard.request import OwnRequest, signed_in


@require_GET
@signed_in
def address(request: OwnRequest) -> HttpResponse:
    return render(request, "account/address.html")


def closed(request: HttpRequest) -> HttpResponse:
    raise Http404
