"""One's own account at every width and in both themes, with a second factor, codes and several sessions."""

from __future__ import annotations

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from allauth.usersessions.models import UserSession
from django.test import Client
from playwright.sync_api import Page

from agents.models import Project, User
from tests.browser.conftest import Open
from tests.browser.seeing import LOOKS, fits, is_live, picture
from tests.domain.test_escalation import make_policy, make_rota, step, whom

PASSWORD = "a long enough one"
PAGES = {
    "password": "/accounts/password/change/",
    "second-factor": "/accounts/2fa/",
    "codes": "/accounts/2fa/recovery-codes/",
    "codes-new": "/accounts/2fa/recovery-codes/generate/",
    "totp-off": "/accounts/2fa/totp/deactivate/",
    "passkey-add": "/accounts/2fa/webauthn/add/",
    "sessions": "/account/sessions/",
    "address": "/accounts/email/",
    "reauthenticate": "/accounts/reauthenticate/",
    "reauthenticate-code": "/accounts/2fa/reauthenticate/",
}


def look_at(page: Page, pages: dict[str, str], suffix: str) -> None:
    for name, path in pages.items():
        page.goto(path)
        is_live(page)
        picture(page, f"account-{name}-{suffix}-full")
        fits(page)


def has_another_session(user: User) -> None:
    """On a phone, far away."""
    phone = Client()
    phone.force_login(User.objects.get(pk=user.pk))
    agent = "Mozilla/5.0 (iPhone; like Mac OS X) Version/18 Safari/604.1"
    session = UserSession.objects.filter(session_key=phone.session.session_key)
    assert session.update(ip="2001:db8:85a3::8a2e:370:7334", user_agent=agent) == 1


@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_the_account_fits(browse: Open, alice: User, project: Project, width: int, theme: str) -> None:
    """Each page is in our frame, accessible, and says what its button does."""
    page = browse(alice, width=width, theme=theme)
    page.goto("/accounts/2fa/totp/activate/")
    page.locator("[name=password]").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("button", name="Switch it on").wait_for()
    picture(page, f"account-totp-{width}-{theme}-full")
    fits(page)
    has_another_session(alice)
    TOTP.activate(alice, generate_totp_secret())
    RecoveryCodes.activate(alice)
    look_at(page, PAGES, f"{width}-{theme}")
    assert Authenticator.objects.filter(user=alice).count() == 2


@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_ways_fit(browse: Open, alice: User, project: Project, width: int, theme: str) -> None:
    """Two ways, one of them a phone; and on the on-call page what it looks like when there is none."""
    make_rota(project, alice)
    make_policy(project, step(whom("person", alice)))
    page = browse(alice, width=width, theme=theme)
    page.goto("/p/main/on-call/")
    picture(page, f"on-call-unreached-{width}-{theme}-full")
    fits(page)
    client = Client()
    client.force_login(alice)
    client.post("/p/main/ways/add/ntfy/", {"topic": "alices-phone-x7", "label": "my phone"})
    page.goto("/p/main/ways/")
    is_live(page)
    page.locator("#add-telegram summary").click()
    picture(page, f"ways-{width}-{theme}-full")
    fits(page)
