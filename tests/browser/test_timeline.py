"""An agent's page and the short lists in a browser: they fit, they are accessible, and they hold still."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from agents import access
from agents.announce import announce, changed_agent
from agents.models import Agent, Attempt, Kind, Minute, Outbox, Project, User
from agents.services import targets
from tests.browser.conftest import Open
from tests.browser.seeing import LOOKS, fits, is_live, picture
from tests.pages.rows import make_agent, make_run, stored

PAGE = "/p/main/agents/refund-desk/"


@pytest.fixture
def agent(transactional_db: None, project: Project) -> Agent:
    """Ninety actions in the last half hour, the newest one failed."""
    agent, now = make_agent(project, about="refunds up to 50 €", owner="payments"), timezone.now()
    run = make_run(agent, started_at=now - timedelta(hours=1), host="web-3", pid=812)
    for n in range(90):
        at = now - timedelta(seconds=20 * (90 - n))
        stored(
            agent, run=run.id, seq=n + 1, at=at, title=f"Refund {n}", body={"took_ms": 900, "input": {"n": n}}
        )
    body = {"expected": "400.00 €", "actual": "40.00 €", "consecutive": 1}
    failed = {"kind": Kind.FAILURE, "outcome": "verification", "verdict": "", "body": body}
    at = now - timedelta(seconds=20)
    stored(agent, run=run.id, seq=91, at=at, title="Refund 40.00, expected 400.00", **failed)
    for m in range(1, 30):
        minute = now.replace(second=0, microsecond=0) - timedelta(minutes=m)
        Minute.objects.create(agent=agent, at=minute, ok=3, failed=m % 2)
    return agent


def acts(agent: Agent, title: str) -> None:
    """What ingest does when the agent acts."""
    stored(agent, run=uuid4(), at=timezone.now(), title=title)
    changed_agent(agent.pk, agent.project_id)


def top_of(page: Page, words: str) -> float:
    return float(page.get_by_text(words, exact=True).evaluate("el => el.getBoundingClientRect().top"))


@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_the_pages_fit(browse: Open, alice: User, agent: Agent, width: int, theme: str) -> None:
    """With much on them, an open entry, an open menu or an open dialog, the pages fit and are accessible."""
    page = browse(alice, width=width, theme=theme)
    page.goto(PAGE)
    fits(page)
    page.locator(".entry.tone-bad .line").click()
    expect(page.locator(".entry-body")).to_contain_text("400.00 €")
    fits(page)
    picture(page, f"timeline-{width}-{theme}")
    page.locator("#menu-outcome summary").click()
    fits(page)
    picture(page, f"timeline-menu-{width}-{theme}")
    page.goto(PAGE)
    page.locator("#agent-step").click()
    expect(page.locator("#pause-dialog")).to_be_visible()
    fits(page)
    page.goto(PAGE + "runs/")
    fits(page)


@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_the_lists_fit(browse: Open, alice: User, project: Project, width: int, theme: str) -> None:
    """Audit, tokens, alerts and the first-run page fit and are accessible, empty and not."""
    page = browse(alice, width=width, theme=theme)
    for path in ("audit", "tokens", "alerts", "welcome"):
        page.goto(f"/p/main/{path}/")
        fits(page)
    page.goto("/p/main/tokens/")
    page.get_by_label("For what").fill("refund-desk in production")
    page.get_by_role("button", name="Make the token").click()
    fits(page)
    page.goto("/p/main/alerts/")
    page.locator("#webhook-address").fill("https://pager.example.com/hooks/T01/abcdef")
    page.locator("#add-webhook button").click()
    fits(page)
    for path in ("audit", "tokens", "alerts"):
        page.goto(f"/p/main/{path}/")
        picture(page, f"{path}-{width}-{theme}-full")
        fits(page)
    page.goto("/p/main/welcome/")
    page.get_by_role("button", name="Make a token").click()
    expect(page.locator("#shell")).to_be_visible()
    fits(page)


def test_news_appear_at_the_top(browse: Open, bob: User, agent: Agent) -> None:
    """Who stands at the top sees a new entry come in by itself."""
    page = browse(bob)
    page.goto(PAGE)
    is_live(page)
    acts(agent, "Refund of just now")
    expect(page.locator(".entry .what").first).to_have_text("Refund of just now")


def test_news_wait_while_someone_reads(browse: Open, bob: User, agent: Agent) -> None:
    """Who has scrolled keeps their lines where they are; three new entries wait behind a count."""
    page = browse(bob)
    page.goto(PAGE)
    is_live(page)
    page.evaluate("window.scrollTo(0, 900)")
    before = top_of(page, "Refund 60")
    for n in range(3):
        acts(agent, f"Refund of now {n}")
    expect(page.locator("#entries-new")).to_have_text("3 new entries")
    assert abs(top_of(page, "Refund 60") - before) < 40
    page.locator("#entries-new a").click()
    expect(page.locator(".entry .what").first).to_have_text("Refund of now 2")


def test_an_open_entry_stays(browse: Open, bob: User, agent: Agent) -> None:
    """What was opened stays open and in its place while news come, and its address opens it for others."""
    page = browse(bob)
    page.goto(PAGE)
    is_live(page)
    page.locator(".entry.tone-bad .line").click()
    expect(page.locator(".entry-body")).to_be_visible()
    acts(agent, "Refund of now")
    expect(page.locator("#entries-new")).to_have_text("1 new entry")
    expect(page.locator(".entry-body")).to_contain_text("40.00 €")
    other = browse(bob)
    other.goto(page.url)
    expect(other.locator(".entry-body")).to_contain_text("40.00 €")


def test_back_goes_back(browse: Open, bob: User, agent: Agent) -> None:
    """Each filter is a step of the history: the browser's back button undoes it."""
    page = browse(bob)
    page.goto(PAGE)
    page.locator("#kind-failure").click()
    expect(page.locator(".entry")).to_have_count(1)
    page.go_back()
    expect(page.locator(".entry")).to_have_count(49)
    is_live(page)
    acts(agent, "Refund after going back")
    expect(page.locator(".entry .what").first).to_have_text("Refund after going back")


def test_a_drag_chooses_times(browse: Open, bob: User, agent: Agent) -> None:
    """A drag over the strip is an address with its times."""
    page = browse(bob)
    page.goto(PAGE)
    box = page.locator("#strip").bounding_box() or pytest.fail("no strip")
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.98, box["y"] + 20, steps=5)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"from=.*&to="))
    expect(page.locator(".strip-over .brush")).to_be_visible()
    fits(page)


def test_it_works_without_scripts(browse: Open, alice: User, agent: Agent) -> None:
    """Filters, entries, older pages and the pause are links and forms."""
    page = browse(alice, scripts=False)
    page.goto(PAGE)
    page.locator("#kind-failure").click()
    page.locator(".entry .line").click()
    expect(page.locator(".entry-body")).to_contain_text("40.00 €")
    page.goto(PAGE)
    page.get_by_role("link", name="Older").click()
    expect(page.get_by_text("Refund 0", exact=True)).to_be_visible()
    page.locator("#agent-step").click()
    page.get_by_label("Note, or another reason").first.fill("amounts look wrong")
    page.get_by_role("button", name="Pause refund-desk").first.click()
    expect(page.locator("#agent-step")).to_contain_text("Decide incident")


def test_a_tests_result_shows_itself(browse: Open, alice: User, project: Project) -> None:
    """The result of a test message appears beside its target without a reload."""
    actor = access.person(alice, project) or pytest.fail("alice is no member")
    targets.add(actor=actor, kind="email", label="on-call", address="oncall@example.com", now=timezone.now())
    page = browse(alice)
    page.goto("/p/main/alerts/")
    is_live(page)
    page.get_by_role("button", name="Send a test").click()
    expect(page.locator("#targets")).to_contain_text("on its way")
    row = Outbox.objects.get()
    Attempt.objects.create(outbox=row, outcome=Attempt.Outcome.SENT, ended_at=timezone.now())
    Outbox.objects.filter(pk=row.pk).update(state=Outbox.State.SENT)
    announce(f"project-{project.pk}", int(timezone.now().timestamp() * 1000))
    expect(page.locator("#targets")).to_contain_text("handed over")
