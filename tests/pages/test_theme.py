"""The theme is written by the server, so that a page never flashes."""

from __future__ import annotations

import pytest
from django.test import Client

from agents.models import User


@pytest.mark.parametrize("theme", ["dark", "light", "system"])
def test_the_chosen_theme_comes_with_the_next_page(client: Client, alice: User, theme: str) -> None:
    """A choice is a cookie, and the cookie is an attribute of the page."""
    client.force_login(alice)
    answer = client.post("/theme/", {"theme": theme, "next": "/design/"})
    assert (answer.status_code, answer["Location"]) == (302, "/design/")
    assert f'data-theme="{theme}"' in client.get("/design/").content.decode()


def test_the_door_can_be_dark_too(client: Client, db: None) -> None:
    """Whoever is not signed in yet has a theme all the same."""
    client.cookies["theme"] = "dark"
    assert 'data-theme="dark"' in client.get("/accounts/login/").content.decode()


def test_a_theme_that_does_not_exist_is_refused(client: Client, db: None) -> None:
    """What stands in an attribute is one of three words."""
    assert client.post("/theme/", {"theme": '"><script>'}).status_code == 400
    client.cookies["theme"] = "pink"
    assert 'data-theme="system"' in client.get("/accounts/login/").content.decode()


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
def test_the_switch_sends_nobody_elsewhere(client: Client, db: None, elsewhere: str) -> None:
    """The way back is an address of ours."""
    assert client.post("/theme/", {"theme": "dark", "next": elsewhere})["Location"] == "/"
