"""Live pages: what changes shows itself, and nothing is taken from the person who reads."""

from __future__ import annotations

import re

from django.contrib.sessions.models import Session
from django.utils import timezone
from playwright.sync_api import expect

from agents.announce import changed_agent
from agents.models import Agent, Instance, Project, Status, User
from tests.browser.conftest import Complaints, Open
from tests.browser.seeing import is_live
from tests.pages import story
from tests.product import Daphne
from tests.waiting import slowness


def becomes(instance: Instance, status: str, doing: str = "") -> None:
    """What ingest does when an agent's snapshot says something new."""
    Instance.objects.filter(pk=instance.pk).update(status=status, doing=doing)
    Agent.objects.filter(pk=instance.agent_id).update(status=status, status_since=timezone.now())
    changed_agent(instance.agent_id, instance.agent.project_id)


def test_a_row_changes_in_place(browse: Open, alice: User, project: Project) -> None:
    """What was ticked, typed and opened stays while rows change, move and join."""
    now = timezone.now()
    workers = [story.make_worker(project, f"worker-{n}", Status.RUNNING, now) for n in range(3)]
    page = browse(alice)
    page.goto("/p/main/")
    is_live(page)
    page.get_by_label("Select worker-1").check()
    page.locator("#fleet-name").fill("half typ")
    page.locator("#fleet-sort summary").click()
    becomes(workers[0], Status.RUNNING, "match_lines 7 of 9")
    expect(page.locator(f"#agent-row-{workers[0].agent_id}")).to_contain_text("match_lines 7 of 9")
    becomes(workers[2], Status.HEALING)
    expect(page.locator("tbody tr").first).to_contain_text("worker-2")
    joined = story.make_worker(project, "newcomer", Status.BLOCKED, now)
    changed_agent(joined.agent_id, project.pk)
    expect(page.locator("tbody tr").first).to_contain_text("newcomer")
    becomes(joined, Status.RUNNING, "says_hello")
    expect(page.locator(f"#agent-row-{joined.agent_id}")).to_contain_text("says_hello")
    expect(page.get_by_label("Select worker-1")).to_be_checked()
    expect(page.locator("#fleet-name")).to_have_value("half typ")
    expect(page.locator("#fleet-sort")).to_have_attribute("open", "")
    expect(page.locator("#pause-selected")).to_have_text("Pause 1 agent")


def test_what_begins_to_wait_appears(browse: Open, bob: User, project: Project) -> None:
    """An incident that opens under an open fleet stands first without a reload, and is counted."""
    page = browse(bob)
    page.goto("/p/main/")
    is_live(page)
    paused = story.make_paused(project, timezone.now())
    changed_agent(paused.instance.agent_id, project.pk)
    expect(page.locator("#fleet-waiting")).to_contain_text("Refund differs from the order")


def test_daphne_restarted_under_an_open_page(
    browse: Open, complaints: Complaints, daphne: Daphne, alice: User, project: Project
) -> None:
    """The page says that it is alone, comes back by itself, and shows what it missed."""
    complaints.expect("WebSocket", "ERR_CONNECTION", "htmx:", "Failed to load")
    worker = story.make_worker(project, "worker", Status.RUNNING, timezone.now())
    page = browse(alice)
    page.goto("/p/main/")
    is_live(page)
    daphne.kill()
    daphne.process.process.wait(5)  # type: ignore[union-attr]
    expect(page.locator("[data-live-indicator]")).not_to_have_attribute("data-state", "live")
    becomes(worker, Status.RUNNING, "happened_meanwhile")
    daphne.start()
    is_live(page, within_s=10 * slowness())
    expect(page.locator("tbody")).to_contain_text("happened_meanwhile")


def test_signed_out_elsewhere(browse: Open, complaints: Complaints, alice: User, project: Project) -> None:
    """A page whose session ends goes to the door within seconds, and would come back here."""
    complaints.expect("401 GET")
    page = browse(alice)
    page.goto("/p/main/incidents/")
    is_live(page)
    Session.objects.all().delete()
    expect(page).to_have_url(re.compile(r"/accounts/login/\?next=(/|%2F)p"), timeout=10_000)


def test_pausing_from_the_fleet(browse: Open, alice: User, project: Project) -> None:
    """Tick two, say why: both pause, and the fleet shows it."""
    now = timezone.now()
    for n in range(3):
        story.make_worker(project, f"worker-{n}", Status.RUNNING, now)
    page = browse(alice)
    page.goto("/p/main/")
    expect(page.locator("#pause-selected")).to_be_disabled()
    page.get_by_label("Select worker-0").check()
    page.get_by_label("Select worker-2").check()
    page.get_by_role("button", name="Pause 2 agents").click()
    expect(page.get_by_role("heading", name="Pause 2 agents")).to_be_visible()
    page.get_by_text("Looks wrong").click()
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.locator("#messages")).to_contain_text("Pausing 2 agents.")
    expect(page.locator("#fleet-waiting .waiting-row")).to_have_count(2)
