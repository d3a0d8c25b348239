"""Browser tests: Debian's Chromium, watched. A policy violation or a console error fails the test.

Without Chromium they are skipped with the reason; with `CI=true` they may not be.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Response

from agents.models import User
from tests.product import Daphne, running_daphne

os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # playwright's loop runs in the test's thread
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NOT_OURS = ("Password forms should have (optionally hidden) username fields",)
Open = Callable[..., Page]


class Complaints(list[str]):
    """Said by any page of a test; `expect` names what it brings about on purpose."""

    def __init__(self) -> None:
        super().__init__()
        self.expected: list[str] = []

    def expect(self, *patterns: str) -> None:
        self.expected += patterns

    def unexpected(self) -> list[str]:
        return [said for said in self if not any(re.search(pattern, said) for pattern in self.expected)]


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    if CHROMIUM is None:
        if os.environ.get("CI") == "true":
            pytest.fail("there is no Chromium here, and CI may not skip the browser tests")
        pytest.skip("there is no Chromium here: apt-get install chromium")
    return browser_type_launch_args | {"executable_path": CHROMIUM, "args": ["--no-sandbox"]}


@pytest.fixture(scope="session")
def daphne(django_db_setup: None, django_db_blocker: Any) -> Iterator[Daphne]:
    """One web server for all tests of this folder; whoever kills it starts it again."""
    with django_db_blocker.unblock():
        with running_daphne() as running:
            yield running
        # Django has one connection in each context, and Playwright's loop is another one than pytest's: what
        # it still held when the loop ends would keep the test database from being dropped.
        connections.close_all()


@pytest.fixture
def complaints(daphne: Daphne) -> Iterator[Complaints]:
    """What browsers complained about. It is empty in the end but for what the test said it expects."""
    said = Complaints()
    yield said
    assert said.unexpected() == [], _errors_of(daphne)


@pytest.fixture
def browse(
    browser: Browser, daphne: Daphne, transactional_db: None, complaints: Complaints
) -> Iterator[Open]:
    """`browse(user, width=360, theme="dark")` is a watched page of someone who signed in, or of nobody."""
    contexts: list[BrowserContext] = []

    def open_page(
        user: User | None = None, *, width: int = 1440, theme: str = "light", scripts: bool = True
    ) -> Page:
        size = {"width": width, "height": 800 if width < 700 else 900}
        context = browser.new_context(
            base_url=daphne.url,
            viewport=size,  # type: ignore[arg-type]
            has_touch=width < 700,
            java_script_enabled=scripts,
        )
        context.set_default_timeout(10_000)
        contexts.append(context)
        cookies = {"theme": theme}
        if user:
            client = Client()
            client.force_login(user)
            cookies["sessionid"] = client.cookies["sessionid"].value
        context.add_cookies(
            [{"name": name, "value": value, "url": daphne.url} for name, value in cookies.items()]
        )
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("response", lambda answer: _hear(answer, complaints))
        page.on("console", lambda message: _listen(message, complaints))
        return page

    yield open_page
    for context in contexts:
        context.close()


def _errors_of(daphne: Daphne) -> str:
    """The ends of the tracebacks that the server logged last."""
    words = daphne.process.last_words(40).splitlines() if daphne.process else []
    return "\n".join(line[-600:] for line in words if "Traceback" in line)


def _listen(message: ConsoleMessage, complaints: list[str]) -> None:
    # An answer that says no is named by _hear, with its address.
    if "the server responded with" in message.text:
        return
    if message.type in {"error", "warning"} and not message.text.startswith(NOT_OURS):
        complaints.append(message.text)


def _hear(answer: Response, complaints: list[str]) -> None:
    if answer.status >= 400:
        complaints.append(f"{answer.status} {answer.request.method} {answer.url}")
