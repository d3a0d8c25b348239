"""What may have happened is asked about: two clicks at 3 am, with or without scripts, at every width."""

from __future__ import annotations

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from agents.models import Agent, Command, Effect, Incident, Project, User
from agents.services import unknown_effects
from tests import builders
from tests.browser.conftest import Open
from tests.browser.seeing import LOOKS, fits, is_live, picture
from tests.domain.rolling import Desk, make_desk

LONG = "notify_the_warehouse_and_the_accounting_department_of_a_shipment_that_was_returned"


def asked(project: Project, count: int) -> tuple[Desk, Incident]:
    """An agent with so many effects that timed out; the second has no key, the third a name without end."""
    desk = make_desk(project, about="Refunds up to 500 € for web-shop orders", owner="payments")
    for act in range(1, count + 1):
        event = builders.action(
            LONG if act == 3 else "issue_refund", external=True, outcome="failed", effect="unknown", act=act,
            key=None if act == 2 else f"refund:{8840 + act}", at=desk.wire.now(),
            input={"order": 8840 + act, "amount": "400.00 €"},
        )  # fmt: skip
        desk.wire.post_events(event, first=act)
    unknown_effects.look(timezone.now())
    return desk, Incident.objects.get()


def answered(page: Page, word: str, reason: str) -> None:
    """One click opens the answer, its reason gives it."""
    page.locator("#asked li").first.get_by_text(word, exact=True).click()
    page.locator("#asked details[open]").get_by_role("button", name=reason).click()


@pytest.mark.parametrize("scripts", [True, False])
@pytest.mark.parametrize("width", [1440, 360])
def test_two_clicks_answer_the_question(
    browse: Open, alice: User, project: Project, width: int, scripts: bool
) -> None:
    """The incident closes, the agent is told, and the page says by whom and whether it knows."""
    desk, incident = asked(project, 1)
    page = browse(alice, width=width, scripts=scripts)
    page.goto(f"/p/main/incidents/{incident.pk}/")
    answered(page, "It did not", "They deny it")
    expect(page.locator("#asked")).to_contain_text("It did not happen, says alice@example.com")
    incident.refresh_from_db()
    assert incident.state == "closed" and Effect.objects.get().answer == "did_not"
    command = Command.objects.get()
    assert desk.wire.receipt(str(command.pk), "taken").status_code == 200
    assert desk.wire.receipt(str(command.pk), "done").status_code == 200
    if scripts:
        is_live(page)
    else:
        page.reload()
    expect(page.locator("#asked")).to_contain_text("The agent knows.")


def test_an_open_answer_is_kept_while_the_page_moves_on(browse: Open, alice: User, project: Project) -> None:
    """Somebody else answers the other one meanwhile: what is being chosen stays open."""
    desk, incident = asked(project, 2)
    page = browse(alice)
    page.goto(f"/p/main/incidents/{incident.pk}/")
    is_live(page)
    page.locator("#asked li").first.get_by_text("It happened", exact=True).click()
    desk.wire.post_events({"kind": "effect", "name": "x", "of": Effect.objects.order_by("begun_at")[1].pk,
                           "outcome": "done", "at": desk.wire.now()}, first=3)  # fmt: skip
    expect(page.locator("#asked")).to_contain_text("The agent found out")
    expect(page.locator("#asked details[open]")).to_have_count(1)


def test_all_of_them_at_once(browse: Open, alice: User, project: Project) -> None:
    """Two clicks, however many there are."""
    _, incident = asked(project, 5)
    page = browse(alice, width=360)
    page.goto(f"/p/main/incidents/{incident.pk}/")
    page.get_by_text("None of 5 did").click()
    page.locator("#answers-all details[open]").get_by_role("button", name="A log says so").click()
    expect(page.locator("#asked")).to_contain_text("Answered")
    assert Effect.objects.filter(answer="did_not").count() == 5


@pytest.mark.parametrize("count", [1, 5])
def test_it_is_fit_for_every_eye(browse: Open, alice: User, project: Project, count: int) -> None:
    """Nothing scrolls sideways, axe finds nothing, open or answered, dark or light, few or many."""
    _, incident = asked(project, count)
    Agent.objects.update(while_paused="11 refunds wait, fine until 06:51 UTC")
    for width, theme in LOOKS:
        page = browse(alice, width=width, theme=theme)
        page.goto(f"/p/main/incidents/{incident.pk}/")
        fits(page)
        picture(page, f"effects-{count}-{width}-{theme}-full")
        page.locator("#asked li").first.get_by_text("It happened", exact=True).click()
        fits(page)
        picture(page, f"effects-{count}-open-{width}-{theme}")
    answered(browse_again(page), "It happened", "Found it there")
    for width, theme in LOOKS:
        page = browse(alice, width=width, theme=theme)
        page.goto(f"/p/main/incidents/{incident.pk}/")
        fits(page)
        picture(page, f"effects-{count}-answered-{width}-{theme}-full")


def browse_again(page: Page) -> Page:
    page.reload()
    return page


@pytest.mark.parametrize("width", [1440, 360])
def test_what_was_done_is_accepted_in_two_taps(
    browse: Open, alice: User, project: Project, width: int
) -> None:
    """The list says what is accepted; one is left out; an answer given meanwhile refuses all of it."""
    desk = make_desk(project, about="Refunds up to 500 € for web-shop orders", owner="payments")
    desk.take(1)
    for act in range(1, 7):
        done = builders.action(
            LONG if act == 4 else "issue_refund", external=True, outcome="ok", act=act, key=f"refund:{act}",
            at=desk.wire.now(), input={"order": 8840 + act, "amount": "12.00 €"},
        )  # fmt: skip
        desk.wire.post_events(done, first=act)
    page = browse(alice, width=width, theme="dark")
    page.goto(f"/p/main/incidents/{desk.pauses().pk}/")
    is_live(page)
    page.get_by_text("Accept all 6").click()
    form = page.locator("#accepted-all form")
    expect(form.get_by_role("checkbox", checked=True)).to_have_count(6)
    form.get_by_role("checkbox").first.uncheck()
    form.scroll_into_view_if_needed()
    picture(page, f"accept-all-{width}")
    picture(page, f"accept-all-{width}-full")
    fits(page)
    Effect.objects.filter(key="refund:6").update(answer="again", answered_by="bob")
    form.get_by_role("button", name="Good enough").click()
    expect(
        page.locator(".toast, [role=status], [role=alert]").filter(has_text="Nothing was answered")
    ).to_be_visible()
    assert not Effect.objects.filter(answer="accepted").exists()
    page.get_by_text("Accept all 5").click()
    page.locator("#accepted-all").get_by_role("button", name="Good enough").click()
    expect(page.locator("#effects")).to_contain_text("6 of 6 dealt with")
    assert Effect.objects.filter(answer="accepted").count() == 5
    picture(page, f"accepted-all-{width}-full")
    fits(page)
