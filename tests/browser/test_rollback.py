"""Rolling back from the browser, with a real agent that proves that it is there."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from agents.models import Incident, Project, User
from checkpoints.models import Rollback
from dashboard.embedded.children import Child
from tests.browser.conftest import Open
from tests.browser.seeing import fits, is_live, picture, tap
from tests.builders import make_token
from tests.product import Daphne
from tests.waiting import until

AGENT = str(Path(__file__).with_name("bookkeeper.py"))
WITHIN_MS = 30_000


def at_the_desk(page: Page) -> int:
    page.locator("#since-good").get_by_role("link").click()
    expect(page.locator("main")).to_contain_text("ledger.csv")
    page.go_back()
    is_live(page)
    page.locator("#decide-form").get_by_text("Known bug").click()
    page.locator("#roll-back").click()
    return 2


def on_the_phone(page: Page) -> int:
    """The button opens the sheet; there a reason is chosen, and its button decides."""
    tap(page.locator("#since-good").get_by_role("link"))
    expect(page.locator("main")).to_contain_text("ledger.csv")
    page.go_back()
    is_live(page)
    tap(page.locator("#bar-back"))
    picture(page, "rollback-sheet-360")
    fits(page)
    order = [page.locator("#sheet-back").get_by_text("Corrupt state"), page.locator("#sheet-back-act")]
    for wanted in order:
        tap(wanted)
    return 1 + len(order)


ROLL_BACK = {1440: at_the_desk, 360: on_the_phone}
STEPS = ("Ordered", "Taken up", "Restored", "Verified: what is there is the checkpoint's")


@pytest.mark.parametrize("width", [1440, 360])
def test_from_an_incident_back_to_the_last_good_state(
    browse: Open, daphne: Daphne, alice: User, project: Project, tmp_path: Path, width: int
) -> None:
    """Incident, what changed, roll back and resume, verified: the incident's page says each as it comes, and
    that the agent runs; the ledger is whole, and the agent books on."""
    env = {"SICKBAY_URL": daphne.url, "SICKBAY_TOKEN": make_token(project)}
    env["SICKBAY_HOME"] = str(tmp_path / "home")
    child = Child("agent", [sys.executable, AGENT], log=tmp_path / "agent.log", env=env)
    child.start()
    try:
        incident = until(lambda: Incident.objects.first(), 60, "the incident")
        page = browse(alice, width=width)
        page.goto(f"/p/main/incidents/{incident.pk}/")
        is_live(page)
        expect(page.locator("#since-good")).to_contain_text("1 file")
        picture(page, f"rollback-{width}")
        fits(page)
        assert ROLL_BACK[width](page) <= 3
        followed = page.locator("#panel-followed")
        for step in STEPS:
            expect(followed.locator(".steps .done", has_text=step)).to_be_visible(timeout=WITHIN_MS)
        lives = re.compile("Probation|Running")
        expect(followed).to_contain_text(lives, timeout=WITHIN_MS)
        expect(page.locator("#incident-head")).to_contain_text(lives, timeout=WITHIN_MS)
        picture(page, f"rollback-followed-{width}")
        fits(page)
        assert Rollback.objects.get(state="verified").agent.name == "bookkeeper"
        lines = until(lambda: _booked(tmp_path / "work" / "ledger.csv", 5), 30, "its next bookings")
        assert lines == [f"{number},10.00" for number in range(1, len(lines) + 1)]
        page.goto("/p/main/agents/bookkeeper/checkpoints/")
        expect(page.locator("main")).to_contain_text("before the rollback")
        picture(page, f"rollback-history-{width}")
        fits(page)
    finally:
        child.stop(5)


def _booked(ledger: Path, least: int) -> list[str]:
    lines = ledger.read_text().splitlines()
    return lines if len(lines) >= least else []
