"""What a page must be for every eye: it fits, axe finds nothing, and a human can look at a picture of it."""

from __future__ import annotations

import os
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LOOKS = [(width, theme) for width in (1440, 360) for theme in ("dark", "light")]
LOOK = os.environ.get("SICKBAY_LOOK")
FINGER = 44
TARGET = "xpath=ancestor-or-self::*[self::a or self::button or self::summary or self::label][1]"


def violations(page: Page) -> list[str]:
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": TAGS}}).response["violations"]
    return [f"{rule['id']}: {node['html']}" for rule in found for node in rule["nodes"]]


def sideways(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - innerWidth"))


def is_live(page: Page, within_s: float = 5) -> None:
    """Waits until the page hears what changes."""
    indicator = page.locator("[data-live-indicator]")
    expect(indicator).to_have_attribute("data-state", "live", timeout=within_s * 1000)


def fits(page: Page) -> None:
    assert sideways(page) <= 0, f"{page.url} scrolls sideways"
    found = violations(page)
    assert not found, "\n".join(found)[:2000]


def picture(page: Page, name: str) -> None:
    """A picture for human eyes, when SICKBAY_LOOK names a folder."""
    if LOOK:
        Path(LOOK).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=f"{LOOK}/{name}.png", full_page=name.endswith("full"))


def tap(wanted: Locator) -> None:
    """With a finger, so what is tapped is as high as one."""
    wanted.scroll_into_view_if_needed()
    target = wanted.locator(TARGET)
    box = target.bounding_box()
    assert box is not None and box["height"] >= FINGER, f"{wanted} is {box and box['height']} px high"
    wanted.tap()
