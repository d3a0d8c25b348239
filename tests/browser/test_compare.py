"""Checkpoints and their differences for every eye: they fit, and are quiet, whatever names and texts say."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from agents.models import AuditEntry, Project, User
from tests.browser.conftest import Open
from tests.browser.seeing import LOOKS, fits, is_live, picture
from tests.pages import states

HISTORY = "/p/main/agents/refund-desk/checkpoints/"


@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_the_pages_fit(browse: Open, alice: User, project: Project, width: int, theme: str) -> None:
    """History, an open checkpoint, and the comparison, at every width and in both themes."""
    _, good, now = states.make_story(project)
    page = browse(alice, width=width, theme=theme)
    for name, path in {
        "history": HISTORY,
        "history-open": f"{HISTORY}?open={now.pk}",
        "compare": f"/p/main/checkpoints/{good.pk}..{now.pk}/",
    }.items():
        page.goto(path)
        is_live(page)
        picture(page, f"{name}-{width}-{theme}")
        picture(page, f"{name}-{width}-{theme}-full")
        fits(page)


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (360, "dark")])
def test_hostile_names_and_texts_fit(
    browse: Open, alice: User, project: Project, width: int, theme: str
) -> None:
    """Whatever an agent says, nothing of it runs, hangs out, or turns the page around."""
    keeper = states.make_keeper(project)
    long, evil = "w" * 2_000, states.HOSTILE
    old = keeper.take({evil: 1, long: 2, "messages": []}, {b"a": b"1\n"}, label=evil)
    names = {evil.encode().replace(b"/", b"-"): b"x\n", b"\xff\t\n" + b"n" * 200: b"y" * 900}
    names[long[:250].encode()] = b"z"
    memory = {evil: long, long: [long], "messages": [{"role": long, "content": f"{evil} {long}"}] * 2}
    manifest = {"code": long[:200], "model": evil}
    new = keeper.take(memory, names, label=long[:200], manifest=manifest, notes=[evil, long[:900]])
    page = browse(alice, width=width, theme=theme)
    for name, path in {
        "history-hostile": f"{HISTORY}?open={new.pk}",
        "compare-hostile": f"/p/main/checkpoints/{old.pk}..{new.pk}/",
    }.items():
        page.goto(path)
        is_live(page)
        picture(page, f"{name}-{width}-{theme}-full")
        fits(page)


@pytest.mark.parametrize(("width", "theme"), [(1440, "dark"), (360, "light")])
def test_nothing_and_much_fit(browse: Open, alice: User, project: Project, width: int, theme: str) -> None:
    """No checkpoint at all; then a page of them with branches, and a comparison of hundreds of changes."""
    keeper = states.make_keeper(project)
    page = browse(alice, width=width, theme=theme)
    page.goto(HISTORY)
    expect(page.get_by_role("heading", name="No checkpoints yet")).to_be_visible()
    picture(page, f"history-none-{width}-{theme}")
    fits(page)
    memory = states.memory(200)
    first = keeper.take(memory, states.workspace())
    forks = [keeper.taker.parent]
    for n in range(60):
        memory["messages"][n * 3] = {"role": "user", "content": f"Changed in step {n}. " * (n % 9 + 1)}
        keeper.taker.parent = forks[-(n % 5)] if n % 7 == 0 else keeper.taker.parent
        forks.append(str(keeper.take(memory, {str(n).encode(): b"x\n" * n}).pk))
    page.goto(HISTORY)
    is_live(page)
    picture(page, f"history-many-{width}-{theme}-full")
    fits(page)
    page.goto(f"/p/main/checkpoints/{first.pk}..{forks[-1]}/")
    picture(page, f"compare-many-{width}-{theme}-full")
    fits(page)


def test_what_is_folded_opens_in_place(browse: Open, alice: User, project: Project) -> None:
    """Items, a file's lines, a secret: each where it stands, and the secret is in the audit log."""
    _, good, now = states.make_story(project)
    page = browse(alice)
    page.goto(f"/p/main/checkpoints/{good.pk}..{now.pk}/")
    page.get_by_text("3 messages unchanged, places 0 to 2").click()
    expect(page.locator(".diff-row.same")).to_have_count(3)
    page.locator(".file-row", has_text="8852.pdf").click()
    expect(page.locator("#file")).to_contain_text("Binary, shown as its size")
    page.get_by_role("button", name="Reveal, this is audited").click()
    expect(page.locator("#memory")).to_contain_text("sk-live-0123456789abcdefghij")
    expect(page.get_by_text("shown without a mask")).to_be_visible()
    assert AuditEntry.objects.filter(verb="reveal secret").count() == 2
    fits(page)
    picture(page, "compare-opened-full")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the newer, audited").click()
    assert download.value.suggested_filename == "8852.pdf"


def test_two_are_picked_and_compared(browse: Open, alice: User, project: Project) -> None:
    """A third choice lets go of the first; the button takes both to their comparison."""
    _, good, now = states.make_story(project)
    page = browse(alice)
    page.goto(HISTORY)
    expect(page.locator("#pick-two")).to_be_disabled()
    boxes = page.locator("input[name=pick]")
    for n in (1, 3, 0):
        boxes.nth(n).check()
    expect(boxes.nth(1)).not_to_be_checked()
    page.locator("#pick-two").click()
    expect(page).to_have_url(re.compile(f"/checkpoints/{good.pk}..{now.pk}/"))


def test_a_new_checkpoint_arrives_by_itself(browse: Open, alice: User, project: Project) -> None:
    """With its words, and what is open stays open with what was typed."""
    keeper, _, now = states.make_story(project)
    page = browse(alice)
    page.goto(f"{HISTORY}?open={now.pk}")
    is_live(page)
    expect(page.locator("#checkpoints")).to_contain_text("+32 messages")
    page.locator("#judge-reason").fill("half a sen")
    keeper.take({**states.memory(22), "new": 1}, label="while you look")
    expect(page.locator("#checkpoints")).to_contain_text("while you look")
    expect(page.locator("#judge-reason")).to_have_value("half a sen")


def test_without_scripts(browse: Open, alice: User, project: Project) -> None:
    """Every part is a page of its own, and forms work."""
    _, good, now = states.make_story(project)
    page = browse(alice, scripts=False)
    page.goto(f"/p/main/checkpoints/{good.pk}..{now.pk}/")
    page.locator(".diff-fold[href]").first.click()
    expect(page.locator(".diff-row.same")).to_have_count(3)
    page.get_by_role("link", name="Back to all that differs").click()
    page.get_by_role("button", name="Reveal, this is audited").click()
    expect(page.locator("main")).to_contain_text("sk-live-0123456789abcdefghij")
    page.goto(f"{HISTORY}?open={now.pk}")
    page.locator(".judge .chip", has_text="Bad").click()
    page.locator("#judge-reason").fill("wrong amounts")
    page.get_by_role("button", name="Call it so").click()
    expect(page.locator("#messages")).to_contain_text("It is called bad now.")
