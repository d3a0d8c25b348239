"""Laws of listening: a command is heard at once, and once, by a poll where sockets are blocked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdk.tests.durable import Heard, begun, linked, until
from sdk.tests.peer import Peer
from sickbay import _listener
from sickbay._home import Home
from sickbay._link import Link


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer() as peer:
        yield peer


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = begun(tmp_path)
    yield home
    home.close()


@pytest.fixture
def link(home: Home, peer: Peer, heard: Heard) -> Iterator[Link]:
    link = linked(home, peer.url, heard)
    link.register()
    yield link
    link.stop()


def test_a_command_is_heard_at_once_and_handed_on_once(link: Link, peer: Peer, heard: Heard) -> None:
    """The socket says look, the command comes by GET, and no look repeats it."""
    peer.until(lambda: peer.sockets)
    began = time.monotonic()
    command = peer.order_command("resume", pause="p", guidance="slowly")
    until(lambda: heard.commands)
    assert time.monotonic() - began < 3
    for _ in range(3):
        peer.say({"look": 1})
    asked = len(peer.requests)
    peer.until(lambda: len(peer.requests) > asked)
    assert [c["id"] for c in heard.commands] == [command["id"]]
    assert heard.commands[0]["payload"]["guidance"] == "slowly"


def test_a_command_ordered_while_the_socket_was_down_is_heard(link: Link, peer: Peer, heard: Heard) -> None:
    """After every reconnect the listener looks, because a word may have been lost."""
    peer.until(lambda: peer.sockets)
    peer.down()
    peer.sockets.clear()
    peer.order_command("pause", pause="p")
    peer.up()
    assert [command["kind"] for command in until(lambda: heard.commands, 20)] == ["pause"]


def test_a_batchs_answer_says_that_a_command_waits(link: Link, home: Home, peer: Peer, heard: Heard) -> None:
    """Even a dead socket delays a command only until the next batch."""
    peer.until(lambda: peer.sockets)
    peer.sockets.clear()
    peer.order_command("pause", pause="p")
    home.spool.append({"kind": "action", "at": 1.0, "name": "x"}, sync=True)
    assert [command["kind"] for command in until(lambda: heard.commands)] == ["pause"]


def test_beats_are_sent_as_often_as_the_server_says(link: Link, peer: Peer) -> None:
    """A beat says its number and what is being done."""
    link.doing("issue_refund")
    link._listener.beat_s = 0.05  # type: ignore[union-attr]
    peer.until(lambda: peer.sockets)
    peer.say({"hello": {"beat_s": 1.0, "reconnect_max_s": 0.1, "commands_version": 0}})
    peer.until(lambda: len(peer.beats) >= 2)
    assert [beat["seq"] for beat in peer.beats] == list(range(1, len(peer.beats) + 1))
    assert peer.beats[-1]["doing"] == "issue_refund"


def test_receipts_are_answered_ok_fenced_or_taken(link: Link, peer: Peer, heard: Heard) -> None:
    """A command is obeyed only after its receipt was acknowledged to this very process."""
    first, second = peer.order_command("pause", pause="p"), peer.order_command("resume", pause="p")
    assert link.receipt(first["id"], "taken") == "ok" == link.receipt(first["id"], "done")
    second["taker"] = "another process"
    assert link.receipt(second["id"], "taken") == "taken"
    peer.epoch = 9
    assert link.receipt(first["id"], "done") == "fenced"
    peer.down()
    assert link.receipt(first["id"], "done") == "unreachable"


def test_a_receipt_may_be_given_where_the_command_is_heard(home: Home, peer: Peer) -> None:
    """Calling back from within the callback does not wait for itself."""
    heard, answers = Heard(), []
    link = linked(home, peer.url, heard)
    link._on_commands = lambda commands: answers.extend(link.receipt(c["id"], "taken") for c in commands)
    peer.order_command("pause", pause="p")
    link.register()
    until(lambda: answers)
    peer.order_command("resume", pause="p")
    home.spool.append({"kind": "action", "at": 1.0, "name": "x"}, sync=True)
    until(lambda: len(answers) == 2)
    assert answers == ["ok", "ok"]
    link.stop()


def test_where_sockets_are_blocked_a_poll_takes_their_place(
    home: Home, peer: Peer, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests get through and sockets do not: commands are still heard at once."""
    monkeypatch.setattr(_listener, "BLOCKED_AFTER", 1)
    peer.sockets_allowed = False
    link = linked(home, peer.url, heard)
    link._sender.pacing.calm = 0.1
    link.register()
    peer.until(lambda: any("wait=" in request for request in peer.requests), 20)
    began = time.monotonic()
    peer.order_command("pause", pause="p")
    until(lambda: heard.commands)
    assert time.monotonic() - began < 3
    link.stop(0.1)
    peer.order_command("wake the poll")


@pytest.mark.parametrize(
    "frame", [b"", b"{", b"[]", b'"look"', b'{"hello":5}', b'{"hello":{"beat_s":"x"}}', b"\xff", b"null"]
)
def test_a_frame_that_means_nothing_is_passed_over(
    link: Link, peer: Peer, heard: Heard, frame: bytes
) -> None:
    """Whatever the socket says, the listener lives and hears the next command."""
    peer.until(lambda: peer.sockets)
    peer.say(frame)
    peer.order_command("pause", pause="p")
    assert [command["kind"] for command in until(lambda: heard.commands, 20)] == ["pause"]


def test_an_absurd_hello_is_taken_within_reason(link: Link) -> None:
    """No server makes an agent beat a thousand times a second, or stay away for a year."""
    listener = link._listener
    assert listener is not None
    listener.told(0.0, 1e12)
    assert listener.beat_s == 1.0 and listener._pacing.calm == 60.0
    listener.told(1e12, -5.0)
    assert listener.beat_s == 300.0 and listener._pacing.calm == 2.0
