"""A passkey, by a real browser with an authenticator of its own: added, and the door opened by it alone."""

from __future__ import annotations

import pytest
from allauth.mfa.models import Authenticator
from playwright.sync_api import Page, expect

from agents.models import Project, User
from tests.browser.conftest import Open
from tests.product import Daphne

PASSWORD = "correct horse battery 9"


@pytest.fixture
def page(browse: Open, daphne: Daphne, alice: User) -> Page:
    """Signed in by password, at a name: browsers give no passkey to an address."""
    alice.set_password(PASSWORD)
    alice.save()
    page = browse()
    tools = page.context.new_cdp_session(page)
    tools.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True}
    more = {"hasUserVerification": True, "isUserVerified": True, "automaticPresenceSimulation": True}
    tools.send("WebAuthn.addVirtualAuthenticator", {"options": options | more})
    page.goto(f"http://localhost:{daphne.port}/accounts/login/?next=/p/main/")
    page.locator("[name=login]").fill(alice.email)
    page.locator("[name=password]").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page).to_have_url(f"http://localhost:{daphne.port}/p/main/")
    return page


def test_a_passkey_is_added_and_opens_the_door(page: Page, daphne: Daphne, project: Project) -> None:
    """Added from one's own account; signed out, one click lets its owner in without a password."""
    here = f"http://localhost:{daphne.port}"
    page.goto(f"{here}/accounts/2fa/")
    page.get_by_role("link", name="Add one").click()
    page.locator("[name=password]").fill(PASSWORD)  # it changes how one signs in
    page.get_by_role("button", name="Go on").click()
    page.locator("[name=name]").fill("my laptop")
    page.locator("[name=passwordless]").check()
    with page.expect_navigation():
        page.get_by_role("button", name="Add it").click()
    page.goto(f"{here}/accounts/2fa/webauthn/")
    expect(page.locator("main")).to_contain_text("my laptop")
    assert Authenticator.objects.filter(type="webauthn").count() == 1
    page.context.clear_cookies()
    page.goto(f"{here}/accounts/login/?next=/p/main/")
    page.get_by_role("button", name="Use a passkey instead").click()
    expect(page).to_have_url(f"{here}/p/main/")
