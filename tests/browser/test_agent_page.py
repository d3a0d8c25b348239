"""Acting on an agent's page: it stays where it is, and it stays true when the person's rights change."""

from __future__ import annotations

import re

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from agents.models import Instance, Membership, Pause, Project, Role, Status, User
from tests.browser.conftest import Complaints, Open
from tests.browser.seeing import fits, is_live, picture
from tests.pages import story

PAGE = "/p/main/agents/refund-desk/"


@pytest.fixture
def worker(transactional_db: None, project: Project) -> Instance:
    return story.make_worker(project, "refund-desk", Status.RUNNING, timezone.now())


def opened(page: Page) -> Page:
    """The page, live and marked, so that a load of it can be told; and its pause dialog open."""
    page.goto(PAGE)
    is_live(page)
    page.evaluate("window.stayed = true")
    page.locator("#agent-step").click()
    expect(page.locator("#pause-dialog")).to_be_visible()
    return page


def test_pausing_stays_on_the_page(browse: Open, alice: User, worker: Instance) -> None:
    """The dialog closes, the head says what holds the agent, and the focus is on the next step."""
    page = opened(browse(alice))
    page.locator("#pause-reasons .chip").first.click()
    page.locator("#pause-dialog .dialog-foot button").click()
    expect(page.locator("#agent-step")).to_have_text(re.compile(r"Decide incident \d+"))
    expect(page.locator("#pause-dialog")).to_be_hidden()
    expect(page.locator("#agent-step")).to_be_focused()
    expect(page.locator("#messages")).to_contain_text("is told to pause")
    assert page.evaluate("window.stayed")
    is_live(page)
    fits(page)
    picture(page, "agent-paused-in-place")


@pytest.mark.parametrize(("width", "theme"), [(1440, "dark"), (360, "light")])
def test_what_was_not_done_is_said_in_the_dialog(
    browse: Open, complaints: Complaints, alice: User, worker: Instance, width: int, theme: str
) -> None:
    """Without a reason the dialog stays, says so, and waits in the field for one."""
    complaints.expect("422")
    page = opened(browse(alice, width=width, theme=theme))
    page.locator("#pause-dialog .dialog-foot button").click()
    expect(page.locator("#pause-dialog [data-refusal]")).to_have_text("Say why, in a word.")
    expect(page.locator("#pause-note")).to_be_focused()
    fits(page)
    picture(page, f"agent-pause-refused-{width}-{theme}")
    assert not Pause.objects.exists()


def test_a_server_that_is_away_is_said_in_the_dialog(
    browse: Open, complaints: Complaints, alice: User, worker: Instance
) -> None:
    """Nobody is left to think that it was done."""
    complaints.expect("ERR_", "htmx:")
    page = opened(browse(alice))
    page.route("**/pause/", lambda route: route.abort())
    page.locator("#pause-note").fill("amounts")
    page.locator("#pause-dialog .dialog-foot button").click()
    expect(page.locator("#pause-dialog [data-refusal]")).to_contain_text("The server did not answer.")
    expect(page.locator("#pause-note")).to_have_value("amounts")


def test_another_role_shows_itself(browse: Open, alice: User, worker: Instance) -> None:
    """Demoted under an open page, the person sees within seconds what they may do now."""
    page = browse(alice)
    page.goto(PAGE)
    is_live(page)
    Membership.objects.filter(user=alice).update(role=Role.VIEWER)
    expect(page.locator(".agent-step")).to_contain_text("Needs the role responder", timeout=15_000)
    expect(page.locator("#pause-dialog")).to_have_count(0)
    is_live(page)


def test_another_role_takes_no_words_away(
    browse: Open, complaints: Complaints, alice: User, worker: Instance
) -> None:
    """Whoever writes keeps what they wrote, is told, and is refused in words."""
    complaints.expect("403")
    page = opened(browse(alice))
    page.locator("#pause-note").fill("amounts look wrong")
    Membership.objects.filter(user=alice).update(role=Role.VIEWER)
    expect(page.locator("#pause-dialog [data-refusal]")).to_contain_text("Your role", timeout=15_000)
    expect(page.locator("#rights")).to_be_visible()
    picture(page, "agent-another-role")
    page.locator("#pause-dialog .dialog-foot button").click()
    expect(page.locator("#pause-dialog [data-refusal]")).to_contain_text("your role may not do this")
    expect(page.locator("#pause-note")).to_have_value("amounts look wrong")
    page.locator("#pause-dialog [data-closes]").click()
    fits(page)
    page.locator("#rights a").click()
    expect(page.locator(".agent-step")).to_contain_text("Needs the role responder")
    assert not Pause.objects.exists()


def test_who_is_no_member_any_more_sees_nothing(
    browse: Open, complaints: Complaints, alice: User, worker: Instance
) -> None:
    """Taken out of the project, the person's open page goes too."""
    complaints.expect("404")
    page = browse(alice)
    page.goto(PAGE)
    is_live(page)
    Membership.objects.filter(user=alice).delete()
    expect(page.get_by_role("heading", name="Not here")).to_be_visible(timeout=15_000)
    expect(page).to_have_url(re.compile(PAGE))
