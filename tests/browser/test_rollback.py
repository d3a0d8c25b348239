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
from tests.browser.seeing import fits, is_live, picture
from tests.builders import make_token
from tests.product import Daphne
from tests.waiting import until

AGENT = str(Path(__file__).with_name("bookkeeper.py"))


def at_the_desk(page: Page) -> None:
    page.locator("#decide-form").get_by_text("Known bug").click()
    page.locator("#roll-back").click()


def on_the_phone(page: Page) -> None:
    """The button opens the sheet; there a reason is chosen, and its button decides."""
    page.locator("#bar-back").tap()
    picture(page, "rollback-sheet-360")
    fits(page)
    page.locator("#sheet-back").get_by_text("Corrupt state").tap()
    page.locator("#sheet-back-act").tap()


ROLL_BACK = {1440: at_the_desk, 360: on_the_phone}


@pytest.mark.parametrize("width", [1440, 360])
def test_from_an_incident_back_to_the_last_good_state(
    browse: Open, daphne: Daphne, alice: User, project: Project, tmp_path: Path, width: int
) -> None:
    """Incident, what changed, roll back and resume, verified: the ledger is whole, and the agent books on."""
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
        ROLL_BACK[width](page)
        expect(page.locator("main")).to_contain_text(re.compile("Rolled back"))
        row = until(lambda: Rollback.objects.filter(state="verified").first(), 30, "the proof")
        assert row.agent.name == "bookkeeper"
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
