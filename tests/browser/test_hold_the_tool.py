"""Hold the tool, in a browser: held, followed live, lifted, at every width."""

from __future__ import annotations

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from agents import announce
from agents.models import Heartbeat, Instance, Project, User
from tests.browser.conftest import Open
from tests.browser.seeing import LOOKS, fits, is_live, picture
from tests.domain import cast
from tests.domain.test_try_one_first import make_incident


@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_it_is_held_and_lifted(browse: Open, alice: User, project: Project, width: int, theme: str) -> None:
    """How many calls wait comes without a reload; what is half-chosen stays while it does."""
    incident = make_incident(project)
    Heartbeat.objects.update(last_seen=timezone.now())
    page = browse(alice, width=width, theme=theme)
    page.goto(f"/p/main/incidents/{incident.pk}/")
    is_live(page)
    picture(page, f"hold-offered-{width}-{theme}-full")
    fits(page)
    page.locator("#hold-open").click()
    page.locator("#hold-form").get_by_text("Known bug").click()
    page.evaluate("scrollTo(0, 0)")  # the phone's bar covers what it covers
    fits(page)
    picture(page, f"hold-asked-{width}-{theme}-full")
    page.locator("#hold-act").click()
    expect(page.locator("#hold")).to_contain_text("issue_refund is held")
    is_live(page)
    now = timezone.now()
    one, two, three = Instance.objects.order_by("agent__name")
    doing = "waiting for issue_refund (held, 2 calls)"
    cast.says(one, "running", held={"issue_refund": 2}, doing=doing, now=now)
    cast.says(two, "paused", held={}, now=now)
    page.locator("#lift").click()
    page.locator("#lift-form").get_by_text("Fixed outside").click()
    cast.says(three, "running", held={"issue_refund": 1}, now=now)
    announce.changed_agents([each.agent_id for each in (one, two, three)], project.pk)
    expect(page.locator("#hold-calls")).to_contain_text("3 calls wait now")
    expect(page.locator("#lift-form input[value='fixed outside']")).to_be_checked()
    page.evaluate("scrollTo(0, 0)")
    fits(page)
    picture(page, f"hold-held-{width}-{theme}-full")
    page.goto("/p/main/agents/one/")
    expect(page.locator("#agent-facts .held")).to_contain_text("issue_refund is held since")
    fits(page)
    picture(page, f"hold-agent-{width}-{theme}")
    page.goto(f"/p/main/incidents/{incident.pk}/")
    page.locator("#lift").click()
    page.locator("#lift-form").get_by_text("Fixed outside").click()
    page.locator("#lift-act").click()
    expect(page.locator("#hold-open")).to_be_visible()
