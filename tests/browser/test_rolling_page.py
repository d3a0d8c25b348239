"""From the history to one file put back, verified, running, and undone; and by the forms alone."""

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
from tests.pages import states
from tests.product import Daphne
from tests.waiting import until

AGENT = str(Path(__file__).with_name("bookkeeper.py"))
WITHIN_MS = 30_000


def spent(page: Page) -> None:
    """The page follows to the end, and says what proves it."""
    expect(page.locator(".rolling-head")).to_contain_text("verified", timeout=WITHIN_MS)
    expect(page.locator("#proofs")).to_contain_text("ledger.csv")


@pytest.mark.parametrize("width", [1440, 360])
def test_one_file_goes_back_and_comes_again(
    browse: Open, daphne: Daphne, alice: User, project: Project, tmp_path: Path, width: int
) -> None:
    """Only what was ticked is put back; the agent proves it, books on, and the rollback is undone."""
    env = {"SICKBAY_URL": daphne.url, "SICKBAY_TOKEN": make_token(project)}
    env["SICKBAY_HOME"] = str(tmp_path / "home")
    ledger = tmp_path / "work" / "ledger.csv"
    child = Child("agent", [sys.executable, AGENT], log=tmp_path / "agent.log", env=env)
    child.start()
    try:
        until(lambda: Incident.objects.first(), 60, "the incident")
        page = browse(alice, width=width)
        page.goto("/p/main/agents/bookkeeper/checkpoints/")
        page.get_by_role("link", name="booked 3").click()
        page.get_by_role("link", name="Roll back to it").click()
        is_live(page)
        page.get_by_text("Single files").click()
        page.get_by_text("Go on from there").click()
        page.get_by_role("checkbox", name="Put back ledger.csv").check()
        button = page.get_by_role("button", name="Put back ledger.csv and resume")
        expect(button).to_be_visible(timeout=WITHIN_MS)
        expect(page).to_have_url(re.compile("scope=files&then=resume&path="), timeout=WITHIN_MS)
        page.get_by_text("Corrupt state").click()
        picture(page, f"roll-back-{width}")
        fits(page)
        button.click()
        expect(page).to_have_url(re.compile(r"/rollbacks/[0-9a-f-]{36}/$"))
        spent(page)
        expect(page.locator("#rollback-then")).to_contain_text(
            re.compile("Running|Probation"), timeout=WITHIN_MS
        )
        lines = until(lambda: _booked(ledger, 5), 30, "its next bookings")
        assert lines == [f"{number},10.00" for number in range(1, len(lines) + 1)]
        picture(page, f"rollback-verified-{width}")
        fits(page)
        page.get_by_role("link", name="Undo this rollback").click()
        page.get_by_text("Made it worse").click()
        picture(page, f"rollback-undo-{width}")
        fits(page)
        page.get_by_role("button", name="Put back ledger.csv").click()
        spent(page)
        assert Rollback.objects.filter(state="verified", scope__paths=["ledger.csv"]).count() == 2
        assert ledger.read_text().startswith("spoiled")
    finally:
        child.stop(5)


def test_what_is_typed_stays_while_the_scope_is_chosen(browse: Open, alice: User, project: Project) -> None:
    """Reason and note are kept; the button, the losses and the address follow each choice."""
    _, good, _ = states.make_story(project)
    page = browse(alice)
    page.goto(f"/p/main/checkpoints/{good.pk}/rollback/")
    is_live(page)
    page.get_by_text("Known bug").click()
    page.locator("#note").fill("looked at it")
    page.get_by_text("Memory only").click()
    expect(page.locator("#order")).to_contain_text("Roll back the memory to")
    expect(page.locator("#lost-files")).to_contain_text("Stays as it is")
    page.get_by_text("Single files").click()
    expect(page.locator("#panel-confirm")).to_contain_text("Tick the files")
    expect(page.locator("#order")).to_have_count(0)
    page.get_by_text("Workspace only").click()
    expect(page.locator("#order")).to_contain_text("Roll back the workspace to")
    expect(page.locator("#note")).to_have_value("looked at it")
    expect(page).to_have_url(re.compile(r"\?scope=workspace$"))
    page.reload()
    expect(page.locator("#order")).to_contain_text("Roll back the workspace to")


def test_by_its_forms_alone(browse: Open, alice: User, project: Project) -> None:
    """At 360 px, with scripts off: the scope is chosen, shown, and ordered."""
    _, good, _ = states.make_story(project)
    page = browse(alice, width=360, scripts=False)
    page.goto(f"/p/main/checkpoints/{good.pk}/rollback/")
    page.get_by_text("Single files").click()
    page.get_by_role("button", name="Show what this does").click()
    page.get_by_role("checkbox", name="Put back policies/refund-rules.md").check()
    page.get_by_role("button", name="Show what this does").click()
    page.get_by_text("Corrupt state").click()
    page.get_by_role("button", name="Put back refund-rules.md").click()
    expect(page.locator("main")).to_contain_text("Waits for its next safe point")
    assert Rollback.objects.get().scope["paths"] == ["policies/refund-rules.md"]


def _booked(ledger: Path, least: int) -> list[str]:
    lines = ledger.read_text().splitlines()
    return lines if len(lines) >= least else []
