"""The long poll, for where sockets are blocked."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.utils import timezone

from agents.models import Project, Token, User
from agents.services import tokens
from tests.builders import Wire, make_project, make_token, order_pause

pytestmark = pytest.mark.django_db(transaction=True)


def test_nothing_to_do_is_204(wire: Wire) -> None:
    """A poll ends without a body when its time is over."""
    assert wire.commands(after=0, wait=1).status_code == 204


def test_what_waits_is_answered_at_once(wire: Wire, alice: User, project: Project) -> None:
    """A command that was there before is not waited for."""
    order_pause(alice, project)
    answer = wire.commands(after=0, wait=25)
    assert answer.status_code == 200
    assert [c["kind"] for c in answer.json()["commands"]] == ["pause"]


def test_a_command_ends_the_wait(wire: Wire, alice: User, project: Project) -> None:
    """A poll that waits is answered as soon as something is ordered."""
    answers = []
    poll = threading.Thread(target=lambda: answers.append(wire.commands(after=0, wait=25)))
    poll.start()
    order_pause(alice, project)
    poll.join(5)
    assert answers and [c["kind"] for c in answers[0].json()["commands"]] == ["pause"]


ENDS: dict[str, Callable[[Project, Token], object]] = {
    "revoked": lambda project, one: tokens.revoke(project=project, pk=one.pk, by="alice", now=timezone.now()),
    "expired": lambda _, one: Token.objects.filter(pk=one.pk).update(expires_at=timezone.now()),
}


@pytest.mark.parametrize("how", sorted(ENDS))
def test_a_token_that_ends_ends_the_wait(wire: Wire, project: Project, how: str) -> None:
    """A poll is authorised while it waits, not only when it begins: 401 within five seconds."""
    answers = []
    poll = threading.Thread(target=lambda: answers.append(wire.commands(after=0, wait=25)))
    poll.start()
    poll.join(0.5)
    ENDS[how](project, Token.objects.get(scope="agent"))
    poll.join(5)
    assert [answer.status_code for answer in answers] == [401]


@pytest.mark.parametrize("scope, status", [("none", 401), ("operator", 403), ("elsewhere", 404)])
def test_refused_like_every_other_route(wire: Wire, project: Project, scope: str, status: int) -> None:
    """The poll passes by Django, but not by the token."""
    if scope == "elsewhere":
        wire.token = make_token(make_project("elsewhere"))
    else:
        wire.token = "sb_nothing" if scope == "none" else make_token(project, scope)
    answer = wire.commands(wait=25)
    assert answer.status_code == status
    assert set(answer.json()) == {"error", "message", "what_to_do"}


def test_an_outdated_process_is_told_at_once(wire: Wire) -> None:
    """A fenced process does not wait for commands that are not for it."""
    Wire(wire.token, client=wire.client).register()
    assert wire.commands(wait=25).json() == {"commands": [], "commands_version": 1, "fenced": True}


@pytest.mark.parametrize("field", ["epoch", "after", "wait"])
def test_nonsense_is_422(wire: Wire, field: str) -> None:
    """A number that is none is named."""
    assert wire.commands(**{"wait": 1, field: "-1e9"}).status_code == 422
