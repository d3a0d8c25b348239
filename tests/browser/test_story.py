"""The whole story in a browser, with a real agent: from the first sign-in to the agent that goes on."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from agents.models import Project, User
from dashboard.embedded.children import Child
from tests.browser.conftest import Open
from tests.browser.seeing import fits, is_live, picture
from tests.product import Daphne

AGENT = str(Path(__file__).with_name("refund_desk.py"))
GUIDANCE = "Amounts are in euros: multiply by 100."
Start = Callable[[str], Child]


@pytest.fixture
def start_agent(daphne: Daphne, tmp_path: Path) -> Iterator[Start]:
    """Starts the story's agent with a token, as another process of this machine."""
    children: list[Child] = []

    def start(token: str) -> Child:
        env = {"SICKBAY_URL": daphne.url, "SICKBAY_TOKEN": token, "SICKBAY_HOME": str(tmp_path / "home")}
        children.append(Child("agent", [sys.executable, AGENT], log=tmp_path / "agent.log", env=env))
        children[-1].start()
        return children[-1]

    yield start
    for child in children:
        child.stop(5)


def sign_in(page: Page, user: User) -> None:
    page.goto("/")
    page.get_by_label("Email").fill(user.email)
    page.get_by_label("Password", exact=True).fill("a long enough one")
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile(r"/p/main/$"))


def decide_at_the_desk(page: Page) -> None:
    page.locator("#decide-form").get_by_text("Known bug").click()
    page.get_by_label("Tell refund-desk something, optional").first.fill(GUIDANCE)
    page.locator("#resume").click()


def decide_on_the_phone(page: Page) -> None:
    """The button opens the sheet; there a reason is chosen, and its button decides."""
    page.locator("#bar-more").tap()
    sheet = page.locator("#sheet-resume")
    sheet.get_by_label("Tell refund-desk something, optional").fill(GUIDANCE)
    picture(page, "story-sheet-360")
    fits(page)
    sheet.get_by_text("Known bug").tap()
    sheet.get_by_role("button", name="Resume").tap()


@pytest.mark.parametrize(("width", "decide"), [(1440, decide_at_the_desk), (360, decide_on_the_phone)])
def test_from_the_first_event_to_an_approval(
    browse: Open,
    start_agent: Start,
    alice: User,
    project: Project,
    width: int,
    decide: Callable[[Page], None],
) -> None:
    """First run, first event, three failures, incident, approval with guidance: the agent goes on."""
    page = browse(width=width)
    sign_in(page, alice)
    page.get_by_role("link", name="Connect the first one").click()
    page.get_by_role("button", name="Make a token").click()
    token = re.search(r"sb_[0-9A-Za-z]+_[0-9A-Za-z]+", page.locator("#welcome-token").inner_text())
    assert token
    is_live(page)
    start_agent(token[0])
    expect(page.get_by_text("has sent its first event")).to_be_visible(timeout=20_000)
    page.goto("/p/main/")
    page.get_by_role("link", name="Review and decide").click(timeout=30_000)
    expect(page.locator("#broke")).to_contain_text("40.00 €")
    expect(page.locator("#spent tbody tr")).to_have_count(3)
    picture(page, f"story-open-{width}")
    fits(page)
    decide(page)
    followed = page.locator("#panel-followed")
    expect(followed).to_contain_text("Taken up", timeout=20_000)
    expect(followed).to_contain_text(re.compile("Probation|Running"), timeout=20_000)
    expect(followed).to_contain_text(GUIDANCE)
    expect(page.locator("#incident-head")).to_contain_text(re.compile("Probation|Running"), timeout=20_000)
    picture(page, f"story-followed-{width}")
    fits(page)
    page.goto("/p/main/")
    expect(page.locator("#fleet-waiting")).to_contain_text("Nothing is waiting for you.")
