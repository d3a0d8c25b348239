"""Two people in two browsers: the first asks, the second reads the same and confirms, on a phone too."""

from __future__ import annotations

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from agents.models import Agent, Decision, Project, Role, User
from tests.browser.conftest import Open
from tests.browser.seeing import LOOKS, fits, is_live, picture
from tests.conftest import member
from tests.pages import story


@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_one_asks_and_another_confirms(
    browse: Open, alice: User, project: Project, width: int, theme: str
) -> None:
    """The second's page shows it without a reload; one tap in both names."""
    paused = story.make_paused(project, timezone.now())
    Agent.objects.update(two_people=True)
    carol = member(project, "carol@example.com", "Carol", Role.ADMIN)
    one, two = browse(alice, width=width, theme=theme), browse(carol, width=width, theme=theme)
    for page in (one, two):
        page.goto(f"/p/main/incidents/{paused.incident.pk}/")
        is_live(page)
    picture(one, f"two-open-{width}-{theme}-full")
    if width < 700:
        one.locator("#bar-more").click()
        one.locator("#sheet-resume").get_by_text("Fixed outside").click()
        one.locator("#sheet-resume-act").click()
    else:
        one.locator("#decide-form").get_by_text("Fixed outside").click()
        one.locator("#guidance").fill("Multiply euros by 100, always.")
        one.locator("#resume").click()
    expect(one.locator("#panel-second")).to_contain_text("You asked for it")
    expect(two.locator("#confirm")).to_be_visible()
    for page, who in ((one, "first"), (two, "second")):
        picture(page, f"two-{who}-{width}-{theme}")
        picture(page, f"two-{who}-{width}-{theme}-full")
        fits(page)
    two.goto("/p/main/agents/refund-desk/policy/")
    picture(two, f"two-policy-{width}-{theme}-full")
    fits(two)
    two.goto(f"/p/main/incidents/{paused.incident.pk}/")
    if width < 700:
        two.locator("#bar-second").click()
    two.locator("#confirm").click()
    expect(two.locator("#panel-followed")).to_contain_text("alice@example.com and carol@example.com")
    assert Decision.objects.count() == 1
