"""Deciding in a browser: two at once, a page left open over a change, a process that is gone, no scripts."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from agents.models import Command, Decision, Heartbeat, Instance, Pause, Project, Role, User
from agents.services import incidents
from tests.browser.conftest import Complaints, Open
from tests.browser.seeing import fits, is_live, picture, tap
from tests.conftest import member
from tests.domain import cast
from tests.pages import story

TYPED = "Multiply euros by 100, always."


def opened(page: Page, paused: story.Paused) -> Page:
    page.goto(f"/p/main/incidents/{paused.incident.pk}/")
    is_live(page)
    return page


def fill(page: Page) -> None:
    page.locator("#decide-form").get_by_text("Fixed outside").click()
    page.locator("#guidance").fill(TYPED)


def test_two_browsers_at_once(browse: Open, complaints: Complaints, alice: User, project: Project) -> None:
    """Both decide from what they saw: one counts, the other reads who won, with what they wrote."""
    complaints.expect("409 POST")
    paused = story.make_paused(project, timezone.now())
    carol = member(project, "carol@example.com", "Carol", Role.RESPONDER)
    one, two = opened(browse(alice), paused), opened(browse(carol), paused)
    fill(one)
    fill(two)
    one.locator("#resume").click()
    expect(one.locator("#panel-followed")).to_contain_text("alice@example.com")
    expect(two.locator("#incident-head")).to_be_visible()
    two.locator("#stop").click()
    two.locator("#stop-choice").get_by_text("Does harm").click()
    two.locator("#stop-act").click()
    expect(two.locator("#refused")).to_contain_text("alice@example.com decided first")
    expect(two.locator("#refused")).to_contain_text(TYPED)
    assert Decision.objects.count() == 1
    picture(two, "refused-lost-1440")
    fits(two)


def test_a_page_left_open_over_a_change(
    browse: Open, complaints: Complaints, alice: User, project: Project
) -> None:
    """It says that it changed, keeps what was typed, refuses the old version and takes the new one."""
    complaints.expect("409 POST")
    paused = story.make_paused(project, timezone.now())
    page = opened(browse(alice), paused)
    fill(page)
    incidents.bump(paused.incident.pk)
    expect(page.locator("#moved")).to_be_visible()
    expect(page.locator("#guidance")).to_have_value(TYPED)
    page.locator("#resume").click()
    expect(page.locator("#refused")).to_contain_text("Not done.")
    expect(page.locator("#guidance")).to_have_value(TYPED)
    picture(page, "refused-stale-1440")
    fits(page)
    incidents.bump(paused.incident.pk)
    expect(page.locator("#moved")).to_be_visible()
    page.get_by_role("button", name="I have looked").click()
    page.locator("#resume").click()
    expect(page.locator("#panel-followed")).to_contain_text(TYPED)
    assert Decision.objects.count() == 1


def test_an_untouched_page_moves_along(browse: Open, alice: User, project: Project) -> None:
    """Nothing typed: the form takes over the new version, and the decision counts."""
    paused = story.make_paused(project, timezone.now())
    page = opened(browse(alice), paused)
    incidents.bump(paused.incident.pk)
    expect(page.locator("#decide-form [name=version]")).to_have_value("2")
    page.locator("#decide-form").get_by_text("Known bug").click()
    page.locator("#resume").click()
    expect(page.locator("#panel-followed")).to_be_visible()


def test_a_process_that_is_gone(browse: Open, alice: User, project: Project) -> None:
    """The page says that it is taken up at the next start, and follows when that comes."""
    paused = story.make_paused(project, timezone.now())
    Instance.objects.update(live=False, gone_since=timezone.now())
    Heartbeat.objects.update(last_seen=timezone.now() - timedelta(minutes=5))
    page = opened(browse(alice, width=360), paused)
    page.locator("#bar-more").tap()
    expect(page.locator("#sheet-resume")).to_contain_text("it is taken up when it next starts")
    page.locator("#sheet-resume").get_by_text("Try once more").tap()
    page.locator("#sheet-resume-act").tap()
    expect(page.locator("#panel-followed")).to_contain_text("Taken up when it next starts")
    picture(page, "gone-360-full")
    fits(page)
    is_live(page)
    Command.objects.update(state="taken", taken_at=timezone.now())
    settled = cast.settled(Pause.objects.get())
    cast.says(paused.instance, "probation", settled=settled, now=timezone.now())
    incidents.bump(paused.incident.pk)
    expect(page.locator("#panel-followed")).to_contain_text("Probation")


def test_without_scripts(browse: Open, alice: User, project: Project) -> None:
    """At 360 px, with scripts off, the whole decision works by its forms."""
    paused = story.make_paused(project, timezone.now())
    page = browse(alice, width=360, scripts=False)
    page.goto("/p/main/")
    page.get_by_role("link", name="Review and decide").click()
    page.get_by_role("link", name="Say more").click()
    page.locator("#decide-form").get_by_text("Known bug").click()
    page.locator("#guidance").fill(TYPED)
    page.locator("#resume").click()
    expect(page.locator("#panel-followed")).to_contain_text(TYPED)
    assert Command.objects.get().payload["incident"] == paused.incident.pk


def test_the_keyboard_acknowledges(browse: Open, alice: User, project: Project) -> None:
    """`g i`, `j`, Enter, `a`: from anywhere to an acknowledged incident without a mouse."""
    story.make_paused(project, timezone.now())
    page = browse(alice)
    page.goto("/p/main/")
    page.keyboard.type("gi")
    expect(page).to_have_url("/p/main/incidents/")
    page.keyboard.type("j")
    page.keyboard.press("Enter")
    expect(page.locator("#incident")).to_be_visible()
    page.keyboard.type("a")
    expect(page.locator("#seen")).to_contain_text("Seen by you")


UNSENT = "Not sent: no connection. Nothing was decided; what you wrote is kept."


def test_a_decision_without_a_connection_stays(
    browse: Open, complaints: Complaints, alice: User, project: Project
) -> None:
    """The card stays with all that was typed and says that nothing was decided; back online it decides."""
    complaints.expect("htmx:", "ERR_INTERNET_DISCONNECTED")
    paused = story.make_paused(project, timezone.now())
    page = opened(browse(alice), paused)
    fill(page)
    page.context.set_offline(True)
    page.locator("#resume").click()
    expect(page.locator("#messages")).to_contain_text(UNSENT)
    expect(page.locator("#guidance")).to_have_value(TYPED)
    page.locator("#stop").click()
    page.locator("#stop-choice").get_by_text("Does harm").click()
    page.locator("#stop-act").click()
    expect(page.locator("#messages [data-unsent]")).to_have_count(1)
    picture(page, "offline-1440")
    assert not Decision.objects.exists()
    page.context.set_offline(False)
    page.locator("#resume").click()
    expect(page.locator("#panel-followed")).to_contain_text(TYPED)


def test_a_sheet_without_a_connection_stays(
    browse: Open, complaints: Complaints, alice: User, project: Project
) -> None:
    """On the phone the open sheet says it itself, and so does acknowledging."""
    complaints.expect("htmx:", "ERR_INTERNET_DISCONNECTED")
    paused = story.make_paused(project, timezone.now())
    page = opened(browse(alice, width=360), paused)
    page.context.set_offline(True)
    page.locator("#bar-acknowledge").tap()
    expect(page.locator("#messages")).to_contain_text(UNSENT)
    page.locator("#messages [data-dismisses]").tap()
    page.locator("#bar-more").tap()
    page.locator("#sheet-guidance").fill(TYPED)
    page.locator("#sheet-resume").get_by_text("Known bug").tap()
    page.locator("#sheet-resume-act").tap()
    expect(page.locator("#sheet-resume")).to_contain_text(UNSENT)
    picture(page, "offline-360")
    fits(page)
    page.context.set_offline(False)
    page.locator("#sheet-resume-act").tap()
    expect(page.locator("#panel-followed")).to_contain_text(TYPED)
    assert Decision.objects.get().reason == "known bug"


def test_a_chip_selects_and_does_not_act(browse: Open, alice: User, project: Project) -> None:
    """In the bar and in every sheet a reason alone decides nothing; what the bar has, its sheet has too."""
    paused = story.make_paused(project, timezone.now())
    phone = opened(browse(alice, width=360), paused)
    phone.locator("#bar-why").get_by_text("Known bug").tap()
    expect(phone.locator("#bar-why input").first).to_be_checked()
    picture(phone, "chips-bar-360")
    fits(phone)
    phone.locator("#bar-more").tap()
    expect(phone.locator("#sheet-resume [value='known bug']")).to_be_checked()
    phone.locator("#sheet-resume [data-closes]").tap()
    for opener, sheet in (("#bar-more", "#sheet-resume"), ("#bar-stop", "#sheet-stop")):
        phone.locator(opener).tap()
        phone.locator(f"{sheet} .chip").first.tap()
        expect(phone.locator(f"{sheet} .chip input").first).to_be_checked()
        picture(phone, f"chips{sheet[1:]}-360")
        fits(phone)
        phone.locator(f"{sheet} [data-closes]").tap()
    assert not Decision.objects.exists()


@pytest.mark.parametrize("scripts", [True, False])
def test_two_taps_resume(browse: Open, alice: User, project: Project, scripts: bool) -> None:
    """At 360 px a reason and Resume decide, on probation; without a reason the button decides nothing."""
    paused = story.make_paused(project, timezone.now())
    page = browse(alice, width=360, scripts=scripts)
    page.goto(f"/p/main/incidents/{paused.incident.pk}/")
    if scripts:
        is_live(page)
    page.locator("#bar-resume").tap()
    expect(page.locator("#bar-why input:invalid")).to_have_count(4)
    assert not Decision.objects.exists()
    tap(page.locator("#bar-why").get_by_text("Try once more"))
    tap(page.locator("#bar-resume"))
    expect(page.locator("#panel-followed")).to_contain_text("try once more")
    decided = Decision.objects.get()
    assert (decided.verb, decided.reason, decided.probation) == ("resume", "try once more", True)


def test_the_bar_says_that_things_changed(
    browse: Open, complaints: Complaints, alice: User, project: Project
) -> None:
    """What was chosen stays over a change, is refused as it stands, and counts after a look."""
    complaints.expect("409 POST")
    paused = story.make_paused(project, timezone.now())
    page = opened(browse(alice, width=360), paused)
    page.locator("#bar-why").get_by_text("Known bug").tap()
    incidents.bump(paused.incident.pk)
    expect(page.locator("#bar-moved")).to_be_visible()
    picture(page, "bar-moved-360")
    fits(page)
    page.locator("#bar-resume").tap()
    expect(page.locator("#refused")).to_contain_text("Not done.")
    expect(page.locator("#bar-why [value='known bug']")).to_be_checked()
    assert not Decision.objects.exists()
    is_live(page)
    incidents.bump(paused.incident.pk)
    expect(page.locator("#bar-moved")).to_be_visible()
    tap(page.locator("#bar-moved [data-current]"))
    tap(page.locator("#bar-resume"))
    expect(page.locator("#panel-followed")).to_be_visible()


def test_an_open_sheet_says_that_things_changed(browse: Open, alice: User, project: Project) -> None:
    """What stands in it is old then; closed, it is new, keeps what was typed, and decides."""
    paused = story.make_paused(project, timezone.now())
    page = opened(browse(alice, width=360), paused)
    page.locator("#bar-more").tap()
    page.locator("#sheet-guidance").fill(TYPED)
    expect(page.locator("#sheet-resume [data-moved]")).to_be_hidden()
    incidents.bump(paused.incident.pk)
    expect(page.locator("#sheet-resume [data-moved]")).to_be_visible()
    picture(page, "moved-360")
    page.locator("#sheet-resume [data-closes]").tap()
    page.locator("#bar-more").tap()
    expect(page.locator("#sheet-resume [data-moved]")).to_be_hidden()
    expect(page.locator("#sheet-guidance")).to_have_value(TYPED)
    page.locator("#sheet-resume").get_by_text("Known bug").tap()
    page.locator("#sheet-resume-act").tap()
    expect(page.locator("#panel-followed")).to_contain_text(TYPED)
