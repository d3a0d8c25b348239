"""Try one first, in a browser: begun, followed live, at every width."""

from __future__ import annotations

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from agents.models import Heartbeat, Project, User
from agents.services import trials
from tests.browser.conftest import Open
from tests.browser.seeing import LOOKS, fits, is_live, picture
from tests.domain.test_try_one_first import acts, goes_on, make_incident


@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_the_others_follow_live(browse: Open, alice: User, project: Project, width: int, theme: str) -> None:
    """The count and the end come without a reload."""
    incident = make_incident(project)
    Heartbeat.objects.update(last_seen=timezone.now())
    page = browse(alice, width=width, theme=theme)
    page.goto(f"/p/main/incidents/{incident.pk}/")
    is_live(page)
    picture(page, f"try-open-{width}-{theme}-full")
    fits(page)
    if width < 700:
        page.locator("#bar-more").click()
        page.locator("#sheet-resume").get_by_text("Fixed outside").click()
        page.locator("#sheet-first").select_option("one")
        picture(page, f"try-sheet-{width}-{theme}")
        page.locator("#sheet-try").click()
    else:
        page.locator("#decide-form").get_by_text("Fixed outside").click()
        page.locator("#first").select_option("one")
        page.locator("#try").click()
    expect(page.locator("#trial-passed")).to_contain_text("0 of 3")
    is_live(page)
    now = timezone.now()
    instance = goes_on(incident, now)
    acts(instance, n=2, now=now)
    trials.look(timezone.now())
    expect(page.locator("#trial-passed")).to_contain_text("2 of 3")
    picture(page, f"try-going-{width}-{theme}")
    picture(page, f"try-going-{width}-{theme}-full")
    fits(page)
    acts(instance, now=now)
    trials.look(timezone.now())
    expect(page.locator("#trial")).to_contain_text("the others followed")
    fits(page)
    picture(page, f"try-done-{width}-{theme}-full")
