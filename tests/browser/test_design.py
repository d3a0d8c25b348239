"""The components in a real browser: both themes and widths, keyboard, morphing under a reader's hands."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from agents.models import User
from tests.browser.conftest import Open
from tests.browser.seeing import LOOKS, fits, picture

MORPH = "([id, html]) => Idiomorph.morph(document.getElementById(id), html, {morphStyle: 'innerHTML'})"


EDITED = (
    "<form id=m-f method=post><input id=m-n><p id=m-w>{0}</p></form><dialog id=m-g><p id=m-q>{0}</p></dialog>"
)


def put(page: Page, html: str) -> None:
    page.evaluate("html => { document.getElementById('tabs').innerHTML = html }", html)


@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_every_component_is_accessible(browse: Open, alice: User, width: int, theme: str) -> None:
    """Axe finds nothing in any theme or width, and nothing scrolls sideways."""
    page = browse(alice, width=width, theme=theme)
    page.goto("/design/")
    picture(page, f"design-{width}-{theme}-full")
    fits(page)


@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_the_door_is_accessible(browse: Open, width: int, theme: str) -> None:
    """Nobody is kept out by how the door is made."""
    page = browse(width=width, theme=theme)
    page.goto("/accounts/login/")
    picture(page, f"door-{width}-{theme}")
    fits(page)


def test_what_a_thumb_presses_is_large_enough(browse: Open, alice: User) -> None:
    """On the phone every target is 44 px high."""
    page = browse(alice, width=360)
    page.goto("/design/")
    small = page.eval_on_selector_all(
        "button, .button, .chip, .input, .select, summary, .tabs a, .check",
        "all => all.filter(el => el.checkVisibility() && !el.matches('.copy, .copy *, [data-dismisses]')"
        " && el.getBoundingClientRect().height < 43.5).map(el => el.outerHTML.slice(0, 90))",
    )
    assert small == []


def test_the_theme_changes_at_once_and_stays(browse: Open, alice: User) -> None:
    """A press changes the colours without a reload; the next page comes in them."""
    page = browse(alice, theme="light")
    page.goto("/design/")
    page.locator("#theme-menu summary").click()
    with page.expect_response("**/theme/"):
        page.locator("#theme-menu").get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(14, 16, 18)"


def test_the_keyboard_walks_rows_and_opens_help(browse: Open, alice: User) -> None:
    """j and k walk, ? helps, Escape closes, and nothing happens while someone types."""
    page = browse(alice)
    page.goto("/design/")
    page.keyboard.press("j")
    expect(page.locator("#w-1 a")).to_be_focused()
    page.keyboard.press("j")
    expect(page.locator("#w-2 a")).to_be_focused()
    page.keyboard.press("k")
    expect(page.locator("#w-1 a")).to_be_focused()
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()
    page.locator("#d-label").press_sequentially("j?k")
    expect(page.locator("#keys")).to_be_hidden()
    expect(page.locator("#d-label")).to_have_value("j?k")


def test_a_sheet_takes_the_focus_and_gives_it_back(browse: Open, alice: User) -> None:
    """A dialog opens from its button, closes by Escape, and the focus is where it was."""
    page = browse(alice)
    page.goto("/design/")
    opener = page.locator("main [data-opens=d-sheet]")
    opener.click()
    expect(page.locator("#d-sheet")).to_be_visible()
    assert page.evaluate("document.getElementById('d-sheet').contains(document.activeElement)")
    page.keyboard.press("Escape")
    expect(page.locator("#d-sheet")).to_be_hidden()
    expect(opener).to_be_focused()


def test_a_short_id_is_copied_whole(browse: Open, alice: User) -> None:
    """Ids are short to read and complete to paste; the press is answered in words."""
    page = browse(alice)
    page.goto("/design/")
    page.locator(".copy", has_text="sb_7Q2c").click()
    expect(page.locator(".copy", has_text="sb_7Q2c")).to_contain_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "sb_7Q2cXk"


def test_morphing_takes_nothing_from_who_reads_or_types(browse: Open, alice: User) -> None:
    """Opened details stay open, typed text and chosen chips stay, the focus stays; the rest is new."""
    page = browse(alice)
    page.goto("/design/")
    put(
        page,
        "<p id=m-p>old</p><details id=m-d><summary>s</summary>x</details>"
        "<input id=m-i value=a><input id=m-u value=a><label><input type=radio id=m-r name=m></label>",
    )
    page.locator("#m-d summary").click()
    page.locator("#m-r").check()
    page.locator("#m-i").fill("half-ty")
    fresh = (
        "<p id=m-p>new</p><details id=m-d><summary>s</summary>y</details>"
        "<input id=m-i value=b><input id=m-u value=b><label><input type=radio id=m-r name=m></label>"
    )
    page.evaluate(MORPH, ["tabs", fresh])
    expect(page.locator("#m-p")).to_have_text("new")
    assert page.evaluate("[document.getElementById('m-d').open, document.getElementById('m-r').checked]") == [
        True,
        True,
    ]
    expect(page.locator("#m-i")).to_have_value("half-ty")
    expect(page.locator("#m-i")).to_be_focused()
    expect(page.locator("#m-u")).to_have_value("b")


def test_an_open_dialog_and_an_edited_form_are_left_alone(browse: Open, alice: User) -> None:
    """What someone is in the middle of is never exchanged under their hands; afterwards it is."""
    page = browse(alice)
    page.goto("/design/")
    put(page, EDITED.format("old"))
    page.evaluate("document.getElementById('m-g').show()")
    fresh = EDITED.format("new")
    page.locator("#m-n").fill("a reason")
    page.evaluate(MORPH, ["tabs", fresh])
    assert page.locator("#m-w").text_content() == page.locator("#m-q").text_content() == "old"
    page.evaluate("document.getElementById('m-g').close()")
    page.locator("#m-n").fill("")
    page.locator("#m-n").blur()
    page.evaluate(MORPH, ["tabs", fresh])
    assert page.locator("#m-w").text_content() == page.locator("#m-q").text_content() == "new"


@pytest.mark.parametrize(
    ("seconds", "words"), [(9, "9 s"), (61, "1 min"), (3 * 3600, "3 h"), (11 * 86400 + 4 * 3600, "11 d 4 h")]
)
def test_ages_grow_in_the_same_words_as_the_server_says(
    browse: Open, alice: User, seconds: int, words: str
) -> None:
    """times.js and phrasing.py say an age alike, by the server's clock."""
    page = browse(alice)
    page.goto("/design/")
    page.evaluate(
        "seconds => { const el = document.querySelector('#d-waiting ~ time, .wait time');"
        " el.dateTime = new Date(Date.now() - seconds * 1000 - 300).toISOString(); el.id = 'grown';"
        " document.dispatchEvent(new Event('visibilitychange')) }",
        seconds,
    )
    expect(page.locator("#grown")).to_have_text(words)
