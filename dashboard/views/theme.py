"""The theme switch: a cookie that the next page is rendered with."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from dashboard.shell import THEME_COOKIE, THEMES

YEAR = 31_536_000


@require_POST
def choose(request: HttpRequest) -> HttpResponse:
    theme, back = request.POST.get("theme", ""), request.POST.get("next", "/")
    if theme not in THEMES:
        return HttpResponseBadRequest("theme is one of system, dark, light")
    if not url_has_allowed_host_and_scheme(back, allowed_hosts=None):
        back = "/"
    answer = HttpResponseRedirect(back)
    answer.set_cookie(
        THEME_COOKIE, theme, max_age=YEAR, secure=settings.BEHIND_TLS, httponly=True, samesite="Lax"
    )
    return answer
