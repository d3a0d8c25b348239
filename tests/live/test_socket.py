"""The agents' socket: it says look, carries the heartbeat, and lets in only whom it should."""

from __future__ import annotations

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from agents.models import Heartbeat, Instance, Project, Token, User
from tests.builders import Wire, make_project, make_token, order_pause
from tests.live.conftest import Opener
from tests.live.test_poll import ENDS
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


def test_hello_says_how_to_behave(wire: Wire, open_socket: Opener) -> None:
    """The server says how often to beat, how to come back, and what the newest command is."""
    hello = open_socket(wire).next()["hello"]
    assert hello == {"beat_s": 20.0, "reconnect_max_s": 2.0, "commands_version": 0}


def test_a_command_makes_it_look(wire: Wire, open_socket: Opener, alice: User, project: Project) -> None:
    """An ordered pause is told by its version, and fetched over HTTP."""
    socket = open_socket(wire)
    socket.next()
    order_pause(alice, project)
    assert socket.next() == {"look": 1}
    [command] = wire.commands(after=0).json()["commands"]
    assert (command["kind"], command["version"]) == ("pause", 1)


def test_a_command_ordered_before_is_in_hello(
    wire: Wire, open_socket: Opener, alice: User, project: Project
) -> None:
    """What was ordered while nobody listened is not missed."""
    order_pause(alice, project)
    assert open_socket(wire).next()["hello"]["commands_version"] == 1


@pytest.mark.parametrize("scope, status", [("none", 401), ("operator", 403), ("elsewhere", 404)])
def test_refused_before_it_is_accepted(
    wire: Wire, open_socket: Opener, project: Project, scope: str, status: int
) -> None:
    """No socket opens without an agent's token of the agent's own project."""
    if scope == "elsewhere":
        wire.token = make_token(make_project("elsewhere"))
    else:
        wire.token = "sb_nothing" if scope == "none" else make_token(project, scope)
    with pytest.raises(InvalidStatus) as refused:
        open_socket(wire)
    assert refused.value.response.status_code == status


def test_a_beat_is_heard_and_says_what_is_done(wire: Wire, open_socket: Opener) -> None:
    """Beats reach the database within seconds, for silence and for the screen."""
    socket = open_socket(wire)
    before = Heartbeat.objects.get().last_seen
    socket.beat(doing="asking the bank")
    until(lambda: Heartbeat.objects.get().last_seen > before, what="the beat")
    until(lambda: Instance.objects.get().doing == "asking the bank", what="what it does")
    assert Heartbeat.objects.get().via is not None


def test_an_unreadable_beat_closes_the_socket(wire: Wire, open_socket: Opener) -> None:
    """Whoever sends something else is let go, and nothing of it is kept."""
    socket = open_socket(wire)
    socket.next()
    socket.connection.send('{"seq": "one", "doing": NaN}')
    with pytest.raises(ConnectionClosed) as closed:
        socket.next()
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 4400


def test_a_replaced_process_is_told_and_let_go(wire: Wire, open_socket: Opener) -> None:
    """When a newer process registers, the older one looks, learns that it is fenced, and beats no more."""
    socket = open_socket(wire)
    socket.next()
    newer = Wire(wire.token, client=wire.client)
    newer.register()
    assert "look" in socket.next()
    assert wire.commands().json()["fenced"] is True
    with pytest.raises(ConnectionClosed) as closed:
        socket.next()
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 4409


@pytest.mark.parametrize("how", sorted(ENDS))
def test_a_token_that_ends_closes_its_sockets(
    wire: Wire, open_socket: Opener, project: Project, how: str
) -> None:
    """A socket is authorised while it lives, not only when it opens: closed within five seconds."""
    socket = open_socket(wire)
    socket.next()
    ENDS[how](project, Token.objects.get(scope="agent"))
    with pytest.raises(ConnectionClosed) as closed:
        socket.next(timeout=5)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 4401
