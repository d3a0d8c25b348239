"""The browsers' socket on a real Daphne: who may open it, what it carries, when it is closed."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import transaction
from django.test import Client
from django.utils import timezone
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from agents.announce import announce, changed_agent
from agents.models import Membership, Project, Role, User
from tests.builders import make_agent
from tests.product import Daphne, running_daphne
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)
Open = Callable[..., ClientConnection]
COOKIE = settings.SESSION_COOKIE_NAME


@pytest.fixture(scope="module")
def daphne(django_db_setup: None, django_db_blocker: Any) -> Iterator[Daphne]:
    with django_db_blocker.unblock(), running_daphne() as daphne:
        yield daphne


@pytest.fixture
def opened(daphne: Daphne) -> Iterator[Open]:
    """Opens the socket as a browser of this user would."""
    with contextlib.ExitStack() as sockets:

        def open_as(
            user: User | None, *, origin: str | None = daphne.url, client: Client | None = None
        ) -> ClientConnection:
            client = client or Client()
            if user is not None and COOKIE not in client.cookies:
                client.force_login(user)
            headers = {"Cookie": f"{COOKIE}={client.cookies[COOKIE].value}"} if user else {}
            address = daphne.url.replace("http", "ws") + "/live/"
            opening = connect(address, origin=origin, additional_headers=headers, proxy=None)  # type: ignore[arg-type]
            return sockets.enter_context(opening)

        yield open_as


def watch(socket: ClientConnection, *topics: str) -> dict[str, Any]:
    socket.send(json.dumps({"watch": topics}))
    return heard(socket)


def heard(socket: ClientConnection, timeout: float = 5.0) -> dict[str, Any]:
    """What is said next, but for the hub's "look again" when it has just connected, and for our probes."""
    said: dict[str, Any] = {"again": 1}
    while "again" in said or said.get("version") == 0:
        said = json.loads(socket.recv(timeout))
    return said


def listen(socket: ClientConnection, *topics: str) -> None:
    """Watch, and go on when the server's hub, which connects for its first listener, hears of them."""

    def probed() -> bool:
        announce(topics[0], 0)
        with contextlib.suppress(TimeoutError):
            return bool(json.loads(socket.recv(0.2)).get("version") == 0)
        return False

    assert watch(socket, *topics) == {"watching": len(topics)}
    until(probed, 20, "the hub")


def closed_with(socket: ClientConnection, within: float = 5.0) -> int | None:
    """The code that the server closes it with."""
    with pytest.raises(ConnectionClosed) as closing:
        while True:
            socket.recv(within)
    return closing.value.rcvd.code if closing.value.rcvd else None


def test_a_change_is_heard(opened: Open, alice: User, project: Project) -> None:
    """The page of an agent hears its new version at once, its fleet's over half a second."""
    agent = make_agent(project)
    socket = opened(alice)
    listen(socket, f"agent-{agent.pk}", f"fleet-{project.pk}")
    changed_agent(agent.pk, project.pk)
    said = {signal["topic"]: signal for signal in (heard(socket), heard(socket))}
    assert said[f"agent-{agent.pk}"] == {"topic": f"agent-{agent.pk}", "version": 1, "spread_ms": 0}
    assert said[f"fleet-{project.pk}"]["spread_ms"] >= 500


def test_standing_is_told_apart(opened: Open, alice: User, project: Project) -> None:
    """Who waits for an agent's standing is not woken by what it does, and hears of it first."""
    agent = make_agent(project)
    socket = opened(alice)
    listen(socket, f"standing-{agent.pk}", f"agent-{agent.pk}")
    changed_agent(agent.pk, project.pk, standing=False)
    assert heard(socket)["topic"] == f"agent-{agent.pk}"
    with transaction.atomic():
        changed_agent(agent.pk, project.pk, standing=False)
        changed_agent(agent.pk, project.pk)
    assert [heard(socket)["topic"] for _ in range(2)] == [f"standing-{agent.pk}", f"agent-{agent.pk}"]


def test_only_what_is_watched(opened: Open, alice: User, project: Project) -> None:
    """A second watch takes the place of the first."""
    one, two = make_agent(project, "one"), make_agent(project, "two")
    socket = opened(alice)
    listen(socket, f"agent-{one.pk}")
    listen(socket, f"agent-{two.pk}")
    announce(f"agent-{one.pk}", 5)
    announce(f"agent-{two.pk}", 6)
    assert heard(socket)["version"] == 6


@pytest.mark.parametrize(
    "origin", [None, "http://evil.example", "http://127.0.0.1:1", "https://127.0.0.1", "null"]
)
def test_other_pages_cannot_open_it(opened: Open, alice: User, project: Project, origin: str | None) -> None:
    """Another origin, were it another port of this host, is refused before anything is said."""
    with pytest.raises(InvalidStatus):
        opened(alice, origin=origin)


def test_who_is_not_signed_in_is_told(opened: Open, project: Project) -> None:
    """Nobody's socket is closed with 4401."""
    assert closed_with(opened(None)) == 4401


def test_other_projects_are_not_heard(opened: Open, charlie: User, project: Project) -> None:
    """A topic of a project that is not theirs closes the socket."""
    agent = make_agent(project)
    for topic in (f"agent-{agent.pk}", f"fleet-{project.pk}", f"project-{project.pk}"):
        socket = opened(charlie)
        socket.send(json.dumps({"watch": [topic]}))
        assert closed_with(socket) == 4403, topic


def test_what_does_not_exist_is_not_watched(opened: Open, alice: User, project: Project) -> None:
    """Unknown topics, agents' own among them, are left out without a word."""
    unknown = (
        "agent-999999",
        "commands-1",
        "agent-x",
        "agent-",
        "*",
        "fleet-99999999999999999999",
        "agent-\u0661",
    )
    assert watch(opened(alice), *unknown) == {"watching": 0}


@pytest.mark.parametrize(
    "said", ["", "{", "[]", '{"watch": 1}', '{"watch": [1]}', '{"watch": "agent-1"}', "[" * 5000]
)
def test_nonsense_closes_it(opened: Open, alice: User, project: Project, said: str) -> None:
    """What is no watch is answered by closing."""
    socket = opened(alice)
    socket.send(said)
    assert closed_with(socket) == 4400


def test_an_ended_session_is_closed_within_five_seconds(opened: Open, alice: User, project: Project) -> None:
    """Ended from her other browser: that socket goes with 4401, her own stays."""
    here, lost = Client(), Client()
    here.force_login(alice)
    lost.force_login(alice)
    mine, theirs = opened(alice, client=here), opened(alice, client=lost)
    listen(theirs, f"fleet-{project.pk}")
    listen(mine, f"fleet-{project.pk}")
    assert here.post("/account/sessions/others/end/").status_code == 302
    assert closed_with(theirs) == 4401
    announce(f"fleet-{project.pk}", 9)
    assert heard(mine)["version"] == 9


ENDS: dict[str, tuple[Callable[[User, Client], object], int]] = {
    "signed out": (lambda _, client: client.post("/accounts/logout/"), 4401),
    "its session ended elsewhere": (lambda _, client: Session.objects.all().delete(), 4401),
    "its session expired": (
        lambda _, client: Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1)), 4401
    ),
    "another password": (lambda user, _: (user.set_password("another long one"), user.save()), 4401),
    "disabled": (lambda user, _: User.objects.filter(pk=user.pk).update(is_active=False), 4401),
    "removed": (lambda user, _: Membership.objects.filter(user=user).delete(), 4403),
    "another role": (lambda user, _: Membership.objects.filter(user=user).update(role=Role.VIEWER), 4408),
}  # fmt: skip


@pytest.mark.parametrize("how", sorted(ENDS))
def test_a_right_is_lost_within_five_seconds(opened: Open, alice: User, project: Project, how: str) -> None:
    """Counted from the moment it ended; what is announced meanwhile does not put it off."""
    client = Client()
    client.force_login(alice)
    socket = opened(alice, client=client)
    watch(socket, f"fleet-{project.pk}")
    end, code = ENDS[how]
    end(alice, client)
    ended = time.monotonic()
    with pytest.raises(ConnectionClosed) as closing:
        while time.monotonic() - ended < 10:
            announce(f"fleet-{project.pk}", 1)
            with contextlib.suppress(TimeoutError):
                socket.recv(0.2)
    assert time.monotonic() - ended <= 5.0 and closing.value.rcvd is not None
    assert closing.value.rcvd.code == code
