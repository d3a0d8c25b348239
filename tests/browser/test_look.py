"""Every page at every width and in both themes: nothing hangs out, axe finds nothing, nobody complains."""

from __future__ import annotations

import pytest
from django.utils import timezone

from agents.models import Entry, Project, User
from tests.browser.conftest import Open
from tests.browser.seeing import LOOKS, fits, is_live, picture
from tests.pages import story


@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_pages_with_a_fleet(browse: Open, alice: User, project: Project, width: int, theme: str) -> None:
    """With a dozen agents, one paused and one silent, each page fits and is accessible."""
    paused = story.make_fleet(project, timezone.now(), size=12)
    page = browse(alice, width=width, theme=theme)
    for name, path in {
        "fleet": "/p/main/",
        "incidents": "/p/main/incidents/",
        "incident": f"/p/main/incidents/{paused.incident.pk}/",
        "pause": "/p/main/pause/ask/?agent=worker-000&agent=worker-007",
    }.items():
        page.goto(path)
        picture(page, f"{name}-{width}-{theme}")
        picture(page, f"{name}-{width}-{theme}-full")
        fits(page)


@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_pages_with_nothing(browse: Open, bob: User, project: Project, width: int, theme: str) -> None:
    """With nothing at all, each page says so and what to do."""
    page = browse(bob, width=width, theme=theme)
    for name, path in {"fleet-none": "/p/main/", "incidents-none": "/p/main/incidents/"}.items():
        page.goto(path)
        is_live(page)
        picture(page, f"{name}-{width}-{theme}")
        fits(page)


@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_a_long_action_name_stays_in_its_place(
    browse: Open, alice: User, project: Project, width: int, theme: str
) -> None:
    """A hundred characters without a space break in their own cell, and are all there."""
    paused = story.make_paused(project, timezone.now())
    Entry.objects.update(name="reconcile" * 11)
    Entry.objects.filter(kind="failure").update(body='{"message": "' + "no such order, " * 60 + '"}')
    page = browse(alice, width=width, theme=theme)
    page.goto(f"/p/main/incidents/{paused.incident.pk}/")
    picture(page, f"long-name-{width}-{theme}")
    picture(page, f"long-name-{width}-{theme}-full")
    fits(page)
    inside = page.locator("#broke .pair > div, #spent .panel, #spent td:visible")
    assert [cell for cell in inside.all() if cell.evaluate("e => e.scrollWidth > e.clientWidth + 1")] == []
    if width < 700:
        assert page.get_by_role("button", name="Acknowledge").filter(visible=True).count() == 1
        bar, last = page.locator(".decision-bar").bounding_box(), page.locator(".facts").bounding_box()
        assert bar is not None and last is not None and last["y"] < bar["y"]
