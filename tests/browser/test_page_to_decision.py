"""At three in the morning: the page arrives, its link, sign in, acknowledge, decide; by keyboard, 360 px."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from agents.models import AlertTarget, AuditEntry, Decision, IncidentState, Project, Role, User
from tests.browser.conftest import Complaints, Open
from tests.browser.seeing import fits, is_live, picture
from tests.conftest import member
from tests.domain import receivers
from tests.domain.receivers import Mailbox
from tests.faults import on_call
from tests.pages import story
from tests.product import Daphne
from tests.waiting import slowness, until

PASSWORD = "a long enough one"
LINK = re.compile(r"^(http\S+/incidents/\d+/)\s*$", re.MULTILINE)


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with receivers.mail_server() as mailbox:
        yield mailbox


def press_until(page: Page, selector: str) -> None:
    """Tab along until what is wanted has the focus, as somebody without a mouse does."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("s => document.activeElement.matches(s)", selector):
            return
    raise AssertionError(f"no tab stop is {selector} on {page.url}")


def signs_in(page: Page, user: User) -> None:
    """Types into the form that stands in the way, and nothing is clicked."""
    press_until(page, "input[name=login]")
    page.keyboard.type(user.email)
    press_until(page, "input[name=password]")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")


def paged(mailbox: Mailbox, tmp_path: Path, daphne: Daphne) -> str:
    """The link of the one message that a real worker hands to a real mail server."""
    with on_call.starting(tmp_path, mailbox, env={"SICKBAY_SITE_URL": daphne.url}) as start:
        start("worker")
        until(lambda: mailbox.messages, 60 * slowness(), "the page")
    (message,) = mailbox.messages
    links = LINK.findall(str(message.get_payload(decode=True), "utf-8").replace("\r", ""))
    assert len(links) == 1
    return str(links[0])


def test_from_the_page_to_the_decision(
    browse: Open, daphne: Daphne, alice: User, project: Project, mailbox: Mailbox, tmp_path: Path
) -> None:
    """The link asks who it is, leads back to the incident, and two keys later it is acknowledged; two
    more and it is decided. Opening the link did nothing by itself."""
    AlertTarget.objects.create(project=project, kind="email", label="x", address=alice.email)
    paused = story.make_paused(project, timezone.now())
    link = paged(mailbox, tmp_path, daphne)
    page = browse(width=360)
    page.goto(link)
    expect(page).to_have_url(re.compile("/accounts/login/"))
    fits(page)
    signs_in(page, alice)
    expect(page).to_have_url(link)
    paused.incident.refresh_from_db()
    assert paused.incident.state == IncidentState.OPEN and not Decision.objects.exists()
    is_live(page, 10 * slowness())
    press_until(page, "#bar-acknowledge")
    page.keyboard.press("Enter")
    expect(page.locator("#bar-acknowledge")).to_have_count(0)
    paused.incident.refresh_from_db()
    assert paused.incident.acknowledged_by == alice
    picture(page, "page-acknowledged-360")
    press_until(page, "#bar-why input")
    page.keyboard.press("Space")
    picture(page, "page-deciding-360")
    press_until(page, "#bar-resume")
    page.keyboard.press("Enter")
    expect(page.locator("#panel-followed")).to_contain_text(alice.email)
    assert Decision.objects.get().verb == "resume"
    verbs = list(AuditEntry.objects.filter(actor=alice.email).order_by("pk").values_list("verb", flat=True))
    assert verbs[-2:] == ["acknowledge", "resume"]
    fits(page)


def test_two_who_are_paged_at_once(
    browse: Open, complaints: Complaints, daphne: Daphne, alice: User, project: Project
) -> None:
    """Both have the incident open on their phones: the second to decide is told who won."""
    complaints.expect("409 POST")
    paused = story.make_paused(project, timezone.now())
    carol = member(project, "carol@example.com", "Carol", Role.RESPONDER)
    pages = []
    for user in (alice, carol):
        page = browse(width=360)
        page.goto(f"/p/main/incidents/{paused.incident.pk}/")
        signs_in(page, user)
        is_live(page, 10 * slowness())
        press_until(page, "#bar-more")
        page.keyboard.press("Enter")
        press_until(page, "#sheet-resume input[name=reason]")
        page.keyboard.press("Space")
        press_until(page, "#sheet-resume-act")
        pages.append(page)
    for page in pages:
        page.keyboard.press("Enter")
    until(Decision.objects.exists, 10 * slowness(), "a decision")
    first, second = pages if Decision.objects.get().by == alice.email else reversed(pages)
    winner = Decision.objects.get().by
    expect(first.locator("#panel-followed")).to_contain_text(winner)
    expect(second.locator("#refused")).to_contain_text(f"{winner} decided first")
    assert Decision.objects.count() == 1
    picture(second, "page-second-360")
    fits(second)
