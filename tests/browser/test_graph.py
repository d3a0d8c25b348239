"""A real LangGraph graph from the browser: it asks, spends its budget, is told why, and is rolled back."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from agents.models import Effect, Incident, IncidentState, Project, User
from checkpoints.models import Rollback
from dashboard.embedded.children import Child
from tests.browser.conftest import Open
from tests.browser.seeing import fits, is_live, picture
from tests.builders import make_token
from tests.product import Daphne
from tests.waiting import until

CLERK = str(Path(__file__).parents[2] / "sdk" / "examples" / "graphs" / "refund_clerk.py")
OPEN = (IncidentState.OPEN, IncidentState.ACKNOWLEDGED)


@dataclass
class Clerk:
    """The clerk at work: what it keeps and what it says."""

    base: Path
    pauses: int = 0

    @property
    def lines(self) -> list[str]:
        return (self.base / "work" / "refund-clerk" / "refunds.csv").read_text().splitlines()

    def is_told(self) -> bool:
        """It waits for the decision, and all that it took has arrived: nothing moves the version any more."""
        said = (self.base / "clerk.log").read_text().count("is paused:")
        taken = self.base / "home" / "refund-clerk" / "main" / "checkpoints"
        return said >= self.pauses and not any(taken.glob("*.pack"))


@pytest.fixture
def clerk(daphne: Daphne, transactional_db: None, project: Project, tmp_path: Path) -> Iterator[Clerk]:
    """It works for as long as the test lasts."""
    env = {"SICKBAY_URL": daphne.url, "SICKBAY_TOKEN": make_token(project), "SICKBAY_DEMO_PACE": "0.1"}
    env |= {"SICKBAY_HOME": str(tmp_path / "home"), "SICKBAY_DEMO_DIR": str(tmp_path / "work")}
    child = Child("clerk", [sys.executable, CLERK], log=tmp_path / "clerk.log", env=env)
    child.start()
    yield Clerk(tmp_path)
    child.stop(5)


def waiting(page: Page, clerk: Clerk, what: str, name: str) -> Page:
    """The page of the incident that waits now."""
    clerk.pauses += 1
    incident = until(lambda: Incident.objects.filter(state__in=OPEN).first(), 60, f"the incident: {what}")
    until(clerk.is_told, 60, "its last checkpoint")
    page.goto(f"/p/main/incidents/{incident.pk}/")
    is_live(page)
    expect(page.locator("main")).to_contain_text(what)
    picture(page, f"{name}-full")
    fits(page)
    return page


def resume(page: Page, reason: str, said: str) -> None:
    page.locator("#decide-form").get_by_text(reason, exact=True).click()
    page.locator("#guidance").fill(said)
    page.locator("#resume").click()
    expect(page.locator("main")).to_contain_text("Resumed")


def test_a_graph_is_answered_told_and_rolled_back(browse: Open, alice: User, clerk: Clerk) -> None:
    """Each decision reaches the graph; its file and its conversation go back together, a refund does not."""
    page = browse(alice)
    waiting(page, clerk, "Refund 700.00 € for order 2?", "graph-question")
    expect(page.locator("#decide-form").get_by_label("Your answer")).to_be_visible()
    resume(page, "Answered", "")
    waiting(page, clerk, "order 4 cost 4000 cents", "graph-budget")
    assert clerk.lines == ["1,1000", "2,70000", "3,3000"]
    resume(page, "Known bug", "Amounts are in cents: multiply by 100")
    waiting(page, clerk, "as many bookings as orders", "graph-rollback")
    assert clerk.lines[3:] != ["4,4000"]
    expect(page.locator("#since-good")).to_contain_text("1 file")
    page.locator("#decide-form").get_by_text("Known bug", exact=True).click()
    page.locator("#roll-back").click()
    expect(page.locator("main")).to_contain_text(re.compile("Rolled back"))
    until(lambda: Rollback.objects.filter(state="verified").first(), 30, "the proof")
    lines = until(lambda: len(clerk.lines) >= 8 and clerk.lines, 30, "its next bookings")
    assert lines[1:8] == ["2,70000", *(f"{order},{order}000" for order in range(3, 9))]
    refunds = [effect.key for effect in Effect.objects.filter(name="refund", state="done")]
    assert sorted(refunds) == sorted(set(refunds)) and "refund:7" in refunds
    page.goto("/p/main/agents/refund-clerk/checkpoints/")
    expect(page.locator("main")).to_contain_text("desk, step")
    picture(page, "graph-checkpoints-full")
    fits(page)


def test_a_question_on_the_phone(browse: Open, alice: User, clerk: Clerk) -> None:
    """Two taps and a word, and the graph has its answer."""
    page = browse(alice, width=360, theme="dark")
    waiting(page, clerk, "Refund 700.00 € for order 2?", "graph-question-360")
    page.locator("#bar-resume").tap()
    expect(page.locator("#sheet-resume").get_by_label("Your answer")).to_be_visible()
    picture(page, "graph-answer-360")
    page.locator("#sheet-resume").get_by_label("Your answer").fill("not this one")
    page.locator("#sheet-resume").get_by_text("Answered", exact=True).tap()
    page.locator("#sheet-resume-act").tap()
    until(lambda: Incident.objects.filter(state__in=OPEN, cause="budget").first(), 60, "the next incident")
    assert not Effect.objects.filter(key="refund:2", verdict="fail").exists()
    assert clerk.lines[1].startswith("2,")
