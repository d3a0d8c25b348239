"""The morning after in a browser: an order is looked for, and what was wrong since then is said."""

from __future__ import annotations

import re

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from agents.models import Agent, Incident, Project, User
from checkpoints.checks import Check
from checkpoints.models import Checkpoint
from checkpoints.services import watches
from tests import builders
from tests.browser.conftest import Open
from tests.browser.seeing import LOOKS, fits, is_live, picture
from tests.domain.rolling import actor
from tests.pages import states
from tests.pages.states import Keeper

PAGE = "/p/main/agents/refund-desk/"


@pytest.fixture
def keeper(project: Project, transactional_db: None) -> Keeper:
    """Three good checkpoints, an effect for order 4711 after the first, and what came of it."""
    keeper = states.make_keeper(project)
    memory = states.memory(4)
    good = {"facts": {"verdicts": {"pass": 1, "fail": 0, "unknown": 0}}}
    keeper.take(memory, states.workspace(), label="after order 4710", **good)
    wire = keeper.taker.wire
    intent = {"kind": "effect", "name": "issue_refund", "act": 1, "key": "refund:4711", "at": wire.now()}
    intent["input"] = {"order": 4711}
    said = {"external": True, "act": 1, "key": "refund:4711", "output": "re_7Q2c, accepted by payments"}
    others = [builders.action("search", at=wire.now(), input={"q": f"order {n}"}) for n in range(4700, 4711)]
    refund = builders.action("issue_refund", at=wire.now(), input={"order": 4711, "amount": 4000}, **said)
    wire.post_events(intent, *others, refund)
    memory["rates"]["amount_scale"] = 10
    keeper.take(memory, states.workspace(), label="after order 4711", **good)
    keeper.take(states.memory(5) | {"rates": memory["rates"]}, states.workspace_now(), label="tidied", **good)
    return keeper


def test_wrong_since_order_4711(browse: Open, alice: User, keeper: Keeper) -> None:
    """Searched for in inputs, reported from its entry, and the incident shows since when and the worklist."""
    page = browse(alice)
    page.goto(PAGE)
    is_live(page)
    page.locator("#filter-text").fill("order 4711")
    page.locator("#filter-text").press("Enter")
    expect(page.locator(".entry")).to_have_count(3)
    page.locator(".entry .line", has_text="issue_refund").first.click()
    page.get_by_role("link", name="Wrong since here").click()
    dialog = page.locator("#wrong-dialog")
    expect(dialog).to_contain_text("Calls 2 checkpoints bad")
    expect(dialog).to_contain_text("Last known good becomes “after order 4710”")
    dialog.locator(".chip", has_text="Wrong results").click()
    dialog.locator("#wrong-note").fill("order 4711")
    fits(page)
    picture(page, "wrong-dialog")
    dialog.get_by_role("button", name="Wrong since here").click()
    expect(page).to_have_url(re.compile(r"/incidents/\d+/"))
    expect(page.locator("#reported")).to_contain_text("wrong results: order 4711")
    expect(page.locator("#effects")).to_contain_text("refund:4711")
    assert Incident.objects.get().cause == "reported"
    fits(page)
    picture(page, "wrong-incident-full")


@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_the_pages_fit(browse: Open, alice: User, keeper: Keeper, width: int, theme: str) -> None:
    """The dialog, the page without scripts and the incident, for every eye."""
    page = browse(alice, width=width, theme=theme)
    page.goto(f"{PAGE}checkpoints/?open={keeper.taker.parent}")
    is_live(page)
    page.get_by_role("link", name="Wrong since here").click()
    expect(page.locator("#wrong-dialog")).to_be_visible()
    fits(page)
    picture(page, f"wrong-dialog-{width}-{theme}")
    page.goto(f"{PAGE}wrong/?since={keeper.taker.parent}")
    fits(page)
    picture(page, f"wrong-page-{width}-{theme}-full")
    page.locator(".chip", has_text="Reported to us").click()
    page.get_by_role("button", name="Wrong since here").click()
    expect(page.locator("#reported")).to_be_visible()
    fits(page)
    picture(page, f"wrong-incident-{width}-{theme}-full")


def test_since_when_and_where_it_began(browse: Open, alice: User, keeper: Keeper) -> None:
    """A value says since which checkpoint, a check says where it began to fail: both lead to the report."""
    page = browse(alice)
    first, newest = Checkpoint.objects.order_by("at")[0], Checkpoint.objects.order_by("-at")[0]
    page.goto(f"/p/main/checkpoints/{first.pk}..{newest.pk}/")
    is_live(page)
    row = page.locator(".diff-row", has_text="amount_scale")
    row.hover()
    row.get_by_role("link", name="Since when?").click()
    since = row.locator(".since")
    expect(since).to_contain_text("after order 4711")
    expect(since).to_contain_text("issue_refund")
    fits(page)
    picture(page, "since-1440-full")
    since.get_by_role("link", name="Wrong since here").click()
    expect(page.locator("#wrong-dialog")).to_contain_text("Calls 2 checkpoints bad")
    page.goto(f"{PAGE}checkpoints/")
    page.get_by_role("link", name="Where did it begin?").click()
    page.locator("#path").fill("rates.amount_scale")
    page.locator("#value").fill("100")
    page.get_by_role("button", name="Find the first that fails").click()
    expect(page.locator("#found")).to_contain_text("First that fails: after order 4711")
    page.locator("#found").get_by_role("link", name="Wrong since here").click()
    expect(page.locator("#wrong-dialog")).to_contain_text("Calls 2 checkpoints bad")
    fits(page)


@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_what_is_found_fits(browse: Open, alice: User, keeper: Keeper, width: int, theme: str) -> None:
    """A value's history, a check and what it found, or did not find, for every eye."""
    page = browse(alice, width=width, theme=theme)
    first, newest = Checkpoint.objects.order_by("at")[0], Checkpoint.objects.order_by("-at")[0]
    page.goto(f"/p/main/checkpoints/{first.pk}..{newest.pk}/")
    page.locator(".diff-row", has_text="amount_scale").hover()
    page.locator(".diff-row", has_text="amount_scale").get_by_role("link", name="Since when?").click()
    expect(page.locator(".since")).to_be_visible()
    page.locator(".file-do .since-ask").first.click()
    expect(page.locator(".file-do .since")).to_be_visible()
    fits(page)
    picture(page, f"since-{width}-{theme}-full")
    for name, query in (
        ("found", "path=rates.amount_scale&op=equals&value=100"),
        ("none", "path=x&op=exists"),
    ):
        page.goto(f"{PAGE}bisect/?{query}")
        fits(page)
        picture(page, f"bisect-{name}-{width}-{theme}-full")


@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_a_check_is_watched_from_now_on(
    browse: Open, alice: User, keeper: Keeper, width: int, theme: str
) -> None:
    """Kept from where it was found, shown with the checkpoints, and told of in the timeline."""
    page = browse(alice, width=width, theme=theme)
    page.goto(f"{PAGE}bisect/?path=rates.amount_scale&op=equals&value=10")
    fits(page)
    picture(page, f"watch-keep-{width}-{theme}-full")
    page.get_by_role("button", name="Watch this from now on").click()
    expect(page.locator("#watches")).to_contain_text("rates.amount_scale equals 10")
    keeper.take({"rates": {"amount_scale": 1}}, label="scaled again")
    watches.look(timezone.now())
    page.goto(f"{PAGE}checkpoints/")
    expect(page.locator("#watches")).to_contain_text("fails")
    fits(page)
    picture(page, f"watches-{width}-{theme}-full")
    page.goto(f"{PAGE}?kind=signal")
    expect(page.locator("#entries")).to_contain_text("began to fail with checkpoint “scaled again”")
    fits(page)


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_what_is_watched_shows_itself(
    browse: Open, alice: User, bob: User, keeper: Keeper, project: Project, who: str
) -> None:
    """Kept, judged for the first time, failing and lifted by another: the open page says each, and stays."""
    page = browse({"alice": alice, "bob": bob}[who], width=360)
    page.goto(f"{PAGE}checkpoints/")
    is_live(page)
    page.evaluate("window.stayed = true")
    shown = page.locator("#watches")
    expect(shown).to_be_hidden()
    agent, by = Agent.objects.select_related("project").get(), actor(alice, project)
    check = Check("rates.amount_scale", "equals", "10")
    damaged = Checkpoint.objects.order_by("-at")[0]
    Checkpoint.objects.filter(pk=damaged.pk).update(memory=b"\1" * 32)
    watch = watches.keep(actor=by, agent=agent, check=check, policy="observe", now=timezone.now())
    expect(shown).to_contain_text("cannot be judged")
    assert shown.get_by_role("button").count() == (3 if who == "alice" else 0)
    keeper.take({"rates": {"amount_scale": 10}}, label="as it should be")
    watches.look(timezone.now())
    expect(shown).to_contain_text("passes")
    watches.turn(actor=by, watch=watch, on=False, now=timezone.now())
    expect(shown).to_contain_text("off")
    watches.remove(actor=by, watch=watch, now=timezone.now())
    expect(shown).to_be_hidden()
    assert page.evaluate("window.stayed")
    fits(page)
