"""Two checkpoints beside each other: all of it is shown, nothing of it does harm, and it stays small."""

from __future__ import annotations

import pytest
from django.test import Client

from agents.models import Project, User
from tests.pages import states


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def address(old: object, new: object) -> str:
    return f"/p/main/checkpoints/{old}..{new}/"


def test_what_changed_is_there(signed_in: Client, project: Project) -> None:
    """Messages, values, words, files, and what is the same."""
    _, good, now = states.make_story(project)
    html = signed_in.get(address(good.pk, now.pk)).content.decode()
    for said in ("Instructions same", "1 deleted", "2 added", "amount_scale", "refund-rules.md"):
        assert said in html, said
    html = signed_in.get("/p/main/agents/refund-desk/checkpoints/").content.decode()
