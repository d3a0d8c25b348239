"""To the OpenID provider and back.

The way there is a page, not a redirect of the form: `form-action 'self'` holds for a form's redirects too,
and a provider may send people on to hosts that nobody here knows.
"""

from __future__ import annotations

import requests
from allauth.socialaccount.helpers import render_authentication_error
from allauth.socialaccount.models import SocialApp
from allauth.socialaccount.providers.base import AuthProcess
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from dashboard.oidc import Adapter, Provider

BROKEN = (OAuth2Error, requests.RequestException, LookupError, TypeError, ValueError)


@require_http_methods(["GET", "POST"])
@never_cache
def there(request: HttpRequest, provider_id: str) -> HttpResponse:
    """By GET a page with the button; the button goes."""
    adapter, provider = _of(request, provider_id)
    if _asks_to_connect(request) and not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    try:
        answer: HttpResponse = OAuth2LoginView.adapter_view(adapter)(request)
    except BROKEN as error:
        answer = render_authentication_error(request, provider, exception=error)
    if answer.status_code != 302:
        return answer
    going = {"address": answer["Location"], "name": provider.name}
    return render(request, "socialaccount/going.html", going)


@require_GET
@never_cache
def back(request: HttpRequest, provider_id: str) -> HttpResponse:
    adapter, provider = _of(request, provider_id)
    try:
        answer: HttpResponse = OAuth2CallbackView.adapter_view(adapter)(request)
    except BROKEN as error:  # a provider that answers what nobody expects
        answer = render_authentication_error(request, provider, exception=error)
    return answer


def _of(request: HttpRequest, provider_id: str) -> tuple[Adapter, Provider]:
    adapter = Adapter(request, provider_id)
    try:
        return adapter, adapter.get_provider()
    except SocialApp.DoesNotExist as error:
        raise Http404 from error


def _asks_to_connect(request: HttpRequest) -> bool:
    return AuthProcess.CONNECT in (request.GET.get("process"), request.POST.get("process"))
