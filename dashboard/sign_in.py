"""Who may come in: nobody signs up by themselves; an administrator invites.

By an OpenID provider come in, and nobody else:
    whoever came in by it before, as the same subject of the same issuer
    whoever was invited and has no way in yet, when the provider has verified that address
    whoever has an address of an allowed domain, verified; without a role until somebody gives them one
A person who signs in with a password connects the provider from their own account: an address alone opens
nothing that somebody else may hold.
"""

from __future__ import annotations

import functools
import logging
from typing import Any

import requests
from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialAccount, SocialLogin
from allauth.socialaccount.providers.base import AuthProcess
from django.conf import settings
from django.contrib.auth.hashers import check_password
from django.http import HttpRequest
from django.shortcuts import render
from django.utils import timezone

from agents.models import User
from agents.services import sign_in_links

log = logging.getLogger("sickbay.sign_in")
TIMEOUT_S = 5
NOT_VERIFIED = "{by} does not vouch for your e-mail address: verify it there, then sign in again."
NOT_INVITED = "{email} was not invited. Ask whoever runs this server to let it in, under Access."
OFF = "{email} was let in before, and is switched off."
HAS_A_WAY = (
    "{email} signs in with a password here. Do that, then connect {by} in your account, under Single sign-on."
)
SOMEBODY_ELSE = (
    "{email} came in by {by} as somebody else. Whoever runs this server prints you a link "
    "(manage.py signin); connect {by} in your account then."
)
ANOTHER_ADDRESS = "That is not {email}: connect the account at {by} that has the address you sign in with."


class ClosedDoor(DefaultAccountAdapter):  # type: ignore[misc]
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def reauthenticate(self, user: User, password: str) -> bool:
        """Compares, and renews no hash: whoever looks with the former one ends the session."""
        request = context.request
        self.pre_authenticate(request, email=user.email)
        is_right = check_password(password, user.password)
        if is_right:
            self._rollback_login_failed_rl_usage()
        else:
            self.authentication_failed(request, email=user.email)
        return is_right


class ByInvitation(DefaultSocialAccountAdapter):  # type: ignore[misc]
    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Called with whoever the provider vouches for, before anybody is signed in."""
        process = sociallogin.state.get("process")
        if process == AuthProcess.CONNECT:
            if not request.user.is_authenticated or _verified(sociallogin) != request.user.email:
                raise _refused(request, ANOTHER_ADDRESS, getattr(request.user, "email", "your address"))
        elif process != AuthProcess.LOGIN:
            raise _refused(request, NOT_INVITED, "This")
        elif not sociallogin.is_existing:
            _let_in(request, sociallogin)

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return _domain_is_allowed(_verified(sociallogin))

    def populate_user(self, request: HttpRequest, sociallogin: SocialLogin, data: dict[str, Any]) -> User:
        user: User = super().populate_user(request, sociallogin, data)
        user.email = user.email.lower()
        user.name = str(data.get("name") or "").replace("\0", "").strip()[:100]
        return user

    def on_authentication_error(
        self, request: HttpRequest, provider: Any, error: Any = None, exception: Any = None, **more: Any
    ) -> None:
        log.warning("signing in by %s failed: %s", provider.name, str(exception or error)[:300])

    def get_requests_session(self) -> requests.Session:
        """Redirects are off: a code and a secret go to the address that was configured."""
        session = requests.Session()
        session.request = functools.partial(  # type: ignore[method-assign]
            session.request, timeout=TIMEOUT_S, allow_redirects=False
        )
        return session


def _let_in(request: HttpRequest, login: SocialLogin) -> None:
    """Connect the invited person's row; newcomers of an allowed domain go on to `is_open_for_signup`."""
    email = _verified(login)
    if not email:
        raise _refused(request, NOT_VERIFIED)
    user = User.objects.filter(email=email).first()
    if user is None:
        if not _domain_is_allowed(email):
            raise _refused(request, NOT_INVITED, email)
        return
    if not user.is_active:
        raise _refused(request, OFF, email)
    if user.has_usable_password():
        raise _refused(request, HAS_A_WAY, email)
    if SocialAccount.objects.filter(user=user).exists():
        raise _refused(request, SOMEBODY_ELSE, email)
    login.connect(request, user)
    sign_in_links.end(user=user, now=timezone.now())


def _verified(login: SocialLogin) -> str:
    """The address that the provider vouches for, or nothing."""
    found = next((one.email for one in login.email_addresses if one.verified), "")
    return str(found).lower()


def _domain_is_allowed(email: str) -> bool:
    return email.rpartition("@")[2] in settings.OIDC_DOMAINS if email else False


def _refused(request: HttpRequest, why: str, email: str = "") -> ImmediateHttpResponse:
    said = why.format(email=email, by=settings.OIDC_NAME)
    return ImmediateHttpResponse(render(request, "socialaccount/refused.html", {"why": said}, status=403))
