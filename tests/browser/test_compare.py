"""Checkpoints and their differences for every eye: they fit, and are quiet, whatever names and texts say."""

from __future__ import annotations

import pytest

from agents.models import Project, User
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
