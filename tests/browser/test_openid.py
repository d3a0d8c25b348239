"""Signing in by an OpenID provider in a real browser: there and back, under the policy that pages have."""

from __future__ import annotations

from django.utils import timezone
from playwright.sync_api import expect

from agents.models import Project, Role
from agents.services import invitations
from tests.browser.conftest import Open
from tests.browser.seeing import fits, picture
from tests.openid import CLIENT, SECRET, running_openid
from tests.product import running_daphne


def test_the_button_leads_there_and_back(browse: Open, project: Project) -> None:
    """One press; the policy lets a page lead where a form may not."""
    invitations.invite(
        email="dora@example.com", role=Role.VIEWER, project=project, by="root@box", now=timezone.now()
    )
    with running_openid() as openid:
        openid.claims = {"sub": "dora-1", "email": "dora@example.com", "email_verified": True}
        env = {
            "SICKBAY_OIDC_URL": openid.issuer, "SICKBAY_OIDC_CLIENT_ID": CLIENT,
            "SICKBAY_OIDC_SECRET": SECRET, "SICKBAY_OIDC_NAME": "Example ID",
        }  # fmt: skip
        with running_daphne(env=env) as daphne:
            page = browse(width=360, theme="dark")
            page.goto(f"{daphne.url}/accounts/login/?next=/p/main/incidents/")
            picture(page, "door-openid-360-dark-full")
            fits(page)
            page.get_by_role("button", name="Sign in by Example ID").click()
            expect(page).to_have_url(f"{daphne.url}/p/main/incidents/")
            page.goto(f"{daphne.url}/accounts/3rdparty/")
            expect(page.locator("main")).to_contain_text("dora@example.com")
            picture(page, "connections-360-dark-full")
            fits(page)
            page.close()  # it would miss its server
