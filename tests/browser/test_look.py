"""Every page at every width and in both themes: nothing hangs out, axe finds nothing, nobody complains."""

from __future__ import annotations

import pytest
from django.utils import timezone

from agents.models import Project, User
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
