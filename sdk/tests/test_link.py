"""Laws of the link: everything recorded arrives once, in order, and nobody waits who did not ask to."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sdk.tests.durable import LATER, RUN, Clock, Heard, begun, event, linked, ours, until
from sdk.tests.peer import Peer
from sickbay import Agent, _life, _sender
from sickbay._arguments import checked_url
from sickbay._errors import BadArgument, TokenRefused
from sickbay._home import Home
from sickbay._link import Link, Unreachable
from tests.faults.proxy import Proxy


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer() as peer:
        yield peer


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    """After every test: what was stopped is gone within its limit."""
    yield
    until(lambda: not ours(), 3)


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
    yield link
    link.stop()


def test_register_gives_an_epoch_and_keeps_it(link: Link, home: Home, peer: Peer) -> None:
    """The epoch is the server's, it is on disk, and the register says who we are."""
    answer = link.register()
    assert not isinstance(answer, Unreachable) and answer.epoch == 1 == link.epoch
    assert home.state.data.epoch == 1 and home.state.data.epoch_run == RUN
    assert peer.registers[0]["run"] == RUN and peer.registers[0]["agent"] == "refund-desk"
    assert peer.registers[0]["budget"] == {"max_consecutive": 3, "max_hourly": 10}


def test_everything_recorded_arrives_once_and_in_order(link: Link, home: Home, peer: Peer) -> None:
    """Three thousand events, in batches of at most 500."""
    link.register()
    for i in range(3000):
        home.spool.append(event(i))
    assert link.flush(10)
    assert peer.seqs(RUN) == list(range(1, 3001)) and home.spool.unsent == 0
    assert all(header["n"] <= 500 for header in peer.headers)
    assert [json.loads(peer.lines[RUN, seq])["number"] for seq in (1, 3000)] == [0, 2999]


def test_ordinary_events_wait_for_company_and_go_together(link: Link, home: Home, peer: Peer) -> None:
    """An event waits at most 250 ms, and what came meanwhile goes with it."""
    link.register()
    link.flush()
    before = len(peer.headers)
    home.spool.append(event(1))
    home.spool.append(event(2))
    peer.until(lambda: len(peer.lines) == 2)
    assert len(peer.headers) == before + 1


def test_an_urgent_event_waits_for_nothing(
    link: Link, home: Home, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the ordinary waits a minute, a failure goes at once and takes the waiting with it."""
    monkeypatch.setattr(_sender, "SOON", 60.0)
    link.register()
    link.flush()
    home.spool.append(event(1))
    before = len(peer.headers)
    home.spool.append(event(2), sync=True)
    peer.until(lambda: peer.seqs(RUN) == [1, 2], 5)
    assert [(header["first_seq"], header["n"]) for header in peer.headers[before:]] == [(1, 2)]


def test_a_changed_state_goes_out_without_an_event(link: Link, home: Home, peer: Peer, heard: Heard) -> None:
    """The pause travels in a batch of no events."""
    link.register()
    link.flush()
    heard.state |= {"status": "paused", "pause": {"id": "p", "owner": "budget", "cause": "three", "at": 1.0}}
    link.nudge(True)
    peer.until(lambda: peer.headers[-1]["state"]["status"] == "paused")
    assert peer.headers[-1]["n"] == 0 and peer.headers[-1]["state"]["pause"]["id"] == "p"


def test_earlier_runs_of_the_spool_go_first_under_the_senders_epoch(tmp_path: Path, peer: Peer) -> None:
    """What an offline run left behind arrives before our own, as that run's, sent by us."""
    home = begun(tmp_path)
    for i in range(5):
        home.spool.append(event(i))
    home.close()
    home = begun(tmp_path, LATER)
    home.spool.append(event(9))
    link = linked(home, peer.url, Heard())
    link.register()
    assert link.flush()
    assert peer.order == [*((RUN, seq) for seq in range(1, 6)), (LATER, 1)]
    sent = [(header["run"], header["epoch"], header["first_seq"]) for header in peer.headers if header["n"]]
    assert sent == [(RUN, 1, 1), (LATER, 1, 1)]
    link.stop()
    home.close()


def test_a_run_that_began_offline_registers_when_the_server_comes(
    home: Home, peer: Peer, heard: Heard
) -> None:
    """Register fails at once and is made up for; what the answer says comes by the callbacks."""
    peer.down()
    link = linked(home, peer.url, heard)
    began = time.monotonic()
    assert isinstance(link.register(), Unreachable)
    assert time.monotonic() - began < 2.0
    home.spool.append(event(1))
    peer.pause = None
    peer.up()
    peer.until(lambda: peer.seqs(RUN) == [1], 20)
    assert home.state.data.epoch == 1 and len(peer.registers) == 1
    until(lambda: heard.accounts)
    link.stop()


def test_register_waits_no_longer_than_its_limit_and_the_answer_is_not_lost(
    home: Home, peer: Peer, heard: Heard
) -> None:
    """A slow server costs the caller its limit; the late answer still holds the agent."""
    gate = threading.Event()
    peer.answers.append(lambda door: not gate.wait(10))
    peer.pause = {"id": "p", "owner": "human", "cause": "stop it", "incident": 1}
    link = linked(home, peer.url, heard)
    began = time.monotonic()
    assert isinstance(link.register(timeout=0.2), Unreachable)
    assert time.monotonic() - began < 2.0 and not heard.pauses
    gate.set()
    until(lambda: heard.pauses)
    assert heard.pauses[0]["id"] == "p"
    link.stop()


def test_a_refused_token_is_raised_at_start_and_later_only_said(
    home: Home, peer: Peer, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    """At start it is an error with a sentence; a token revoked later costs a warning."""
    wrong = linked(home, peer.url, heard, token="sb_wrong")
    with pytest.raises(TokenRefused, match="no such token"):
        wrong.register()
    wrong.stop()
    link = linked(home, peer.url, heard)
    link.register()
    peer.plant(401, {"error": "token", "message": "revoked"}, times=50)
    home.spool.append(event(1), sync=True)
    until(lambda: "refuses this agent's token: revoked" in caplog.text)
    assert home.spool.unsent == 1
    link.stop()


@pytest.mark.parametrize("status", [200, 302, 401, 404])
def test_a_server_that_is_not_sickbay_is_called_so(home: Home, peer: Peer, heard: Heard, status: int) -> None:
    """A wrong URL is a warning that says what to set; the agent works on."""
    page, where = b"<html>Welcome to nginx</html>", {"Location": "http://127.0.0.1:1/elsewhere"}
    peer.plant(status, page, where, times=50)
    link = linked(home, peer.url, heard)
    answer = link.register()
    assert isinstance(answer, Unreachable) and "SICKBAY_URL" in answer.why
    link.stop()


def test_the_token_goes_to_one_host_only(link: Link, home: Home, peer: Peer) -> None:
    """A redirect is not followed, by requests or by the socket."""
    with Peer() as other:
        away = {"Location": other.url + "/api/v1/events/"}
        link.register()
        peer.plant(307, b"", away, times=2)
        home.spool.append(event(1), sync=True)
        peer.until(lambda: not peer.answers, 30)
        assert other.requests == []


def test_a_conflict_is_set_aside_and_its_neighbours_go_on(link: Link, home: Home, peer: Peer) -> None:
    """The line the server holds otherwise is kept in a file and told; nothing is resent for ever."""
    link.register()
    peer.lines[RUN, 2] = b'{"other":"body"}'
    home.spool.append(event(1), event(2), event(3), sync=True)
    assert link.flush() and home.spool.unsent == 0
    assert peer.seqs(RUN)[:2] == [1, 3]
    aside = json.loads((home.directory / "aside.ndjson").read_bytes())
    assert (aside["why"], aside["seq"], json.loads(aside["line"])["number"]) == ("conflict", 2, 2)
    peer.until(lambda: any(b"not accepted" in line for line in peer.lines.values()))


def test_a_line_that_makes_the_server_refuse_the_batch_is_found_and_set_aside(
    link: Link, home: Home, peer: Peer
) -> None:
    """One poison line delays its neighbours, and no more."""
    link.register()
    peer.refuse_line = b'"number":37}'
    home.spool.append(*(event(i) for i in range(100)), sync=True)
    assert link.flush(10)
    got = {json.loads(line).get("number") for line in peer.lines.values()}
    assert got - {None} == set(range(100)) - {37}


@pytest.mark.parametrize("ack", [None, 0, 10**15, -1, "5", 2.5])
def test_an_ack_that_cannot_be_is_not_believed(link: Link, home: Home, peer: Peer, ack: Any) -> None:
    """Nothing is let go that was not sent, and nothing is raised."""
    link.register()
    link.flush()
    peer.extra = {"ack": ack}
    home.spool.append(event(1), event(2), sync=True)
    peer.until(lambda: peer.headers[-1]["n"] == 2)
    peer.extra = {}
    peer.until(lambda: True)
    assert until(lambda: link.flush(5)) and home.spool.unsent == 0


@pytest.mark.parametrize(
    "answer",
    [
        b"x" * 3_000_000,
        b"[" * 500_000,
        b'{"ack":1,"account":{"number":"many"}}',
        b'{"ack":1,"conflicts":[99999999999999999999999999]}',
        b'{"ack":1,"wait_ms":1e999}',
        b'{"ack":1,"pause":"yes"}',
        b"\xff\xfe",
        b"",
    ],
)
def test_a_hostile_answer_costs_a_retry_and_nothing_else(
    link: Link, home: Home, peer: Peer, heard: Heard, answer: bytes
) -> None:
    """Huge, deep, mistyped or broken answers are not believed, and the events arrive by the next try."""
    link.register()
    link.flush()
    peer.until(lambda: peer.sockets)
    peer.plant(200, answer)
    home.spool.append(event(1), sync=True)
    peer.until(lambda: (RUN, 1) in peer.lines, 20)
    assert not heard.pauses and not heard.fenced
    assert ours()[0] == "sickbay-listener"


def test_the_server_says_how_long_to_wait(link: Link, home: Home, peer: Peer) -> None:
    """After wait_ms nothing is sent before its time, urgent or not."""
    link.register()
    link.flush()
    peer.extra = {"wait_ms": 700}
    home.spool.append(event(1), sync=True)
    peer.until(lambda: peer.headers[-1]["n"] == 1)
    began, peer.extra = time.monotonic(), {}
    home.spool.append(event(2), sync=True)
    peer.until(lambda: (RUN, 2) in peer.lines)
    assert 0.5 < time.monotonic() - began < 5


def test_a_pause_that_only_the_server_holds_is_told(link: Link, home: Home, peer: Peer, heard: Heard) -> None:
    """Silence never lifts it: every answer repeats it until the snapshot has it."""
    link.register()
    peer.pause = {"id": "p", "owner": "human", "cause": "look at this", "incident": 7, "stopped": False}
    home.spool.append(event(1), sync=True)
    until(lambda: heard.pauses)
    assert heard.pauses[0] == peer.pause


def test_a_refused_start_has_no_epoch_and_may_still_flush(tmp_path: Path, peer: Peer, heard: Heard) -> None:
    """What an earlier run left is sent although this start is refused."""
    home = begun(tmp_path)
    home.spool.append(event(1))
    home.close()
    peer.pause = {"id": "p", "owner": "budget", "cause": "three", "incident": 7, "stopped": False}
    home = begun(tmp_path, LATER)
    link = linked(home, peer.url, heard)
    heard.state["pause"] = {"id": "p"}
    answer = link.register()
    assert not isinstance(answer, Unreachable) and answer.epoch is None and answer.pause
    assert link.flush() and peer.seqs(RUN) == [1]
    assert len(peer.registers) == 1, "it does not ask again while it is paused"
    link.stop()
    home.close()


def test_once_its_pause_is_lifted_a_refused_start_registers_by_itself(
    home: Home, peer: Peer, heard: Heard
) -> None:
    """A resumed agent becomes a run without being told twice."""
    peer.pause = {"id": "p", "owner": "human", "cause": "stop", "incident": 7, "stopped": False}
    heard.state["pause"] = {"id": "p"}
    link = linked(home, peer.url, heard)
    link.register()
    assert (link.epoch, len(peer.registers)) == (None, 1)
    peer.pause, heard.state["pause"] = None, None
    link.nudge(True)
    until(lambda: link.epoch == 1)
    assert [(register["wants"], register["run"]) for register in peer.registers] == [("run", RUN)] * 2
    link.stop()


def test_nobody_is_fenced_by_their_own_register(link: Link, home: Home, peer: Peer, heard: Heard) -> None:
    """Who looks for commands while the answer with the new epoch is on its way is not called replaced."""
    home.state.data.epoch = peer.epoch = 1
    peer.pause = {"id": "p", "owner": "human", "cause": "stop", "incident": 7, "stopped": False}
    link.register(wants="wait")
    peer.pause = None
    peer.registering.clear()
    assert isinstance(link.register(0.01), Unreachable)
    peer.until(lambda: peer.epoch == 2)
    link.look()
    peer.registering.set()
    until(lambda: link.epoch == 2)
    link.look()
    assert heard.fenced == 0 and not link.is_fenced


def test_a_newer_process_fences_this_one(link: Link, home: Home, peer: Peer, heard: Heard) -> None:
    """It is told once, its events still arrive, and it hands on no command any more."""
    link.register()
    peer.until(lambda: peer.sockets)
    peer.epoch = 2
    home.spool.append(event(1), sync=True)
    until(lambda: heard.fenced)
    peer.order_command("pause", pause="p")
    home.spool.append(event(2), sync=True)
    peer.until(lambda: (RUN, 2) in peer.lines)
    assert heard.fenced == 1 and heard.commands == []


def test_a_forgotten_agent_registers_anew(link: Link, home: Home, peer: Peer) -> None:
    """A server restored from an old backup does not know us: 404 leads to a new register."""
    link.register()
    link.flush()
    missing = {"error": "not_found", "message": "no such agent", "what_to_do": "register"}
    peer.plant(404, missing)
    home.spool.append(event(1), sync=True)
    peer.until(lambda: (RUN, 1) in peer.lines, 20)
    assert len(peer.registers) == 2


def test_callbacks_that_raise_harm_nobody(home: Home, peer: Peer) -> None:
    """A bug in what takes over an answer is logged; the sender goes on."""

    class Broken(Heard):
        def __init__(self) -> None:
            super().__init__()
            self.accounts = Angry()  # type: ignore[assignment]

    link = linked(home, peer.url, Broken())
    link.register()
    home.spool.append(event(1), sync=True)
    assert link.flush() and peer.seqs(RUN) == [1]
    link.stop()


def test_without_a_url_only_the_spool_works(home: Home, heard: Heard) -> None:
    """No thread speaks to anybody, and nothing is raised."""
    link = linked(home, None, heard)
    assert isinstance(link.register(), Unreachable) and link.flush() is False
    assert link.receipt("x", "taken") == "unreachable"
    link.start()
    home.spool.append(event(1), sync=True)
    assert ours() == ["sickbay-sender"]
    link.stop()
    assert ours() == []


def test_at_most_three_threads_and_none_after_stop(link: Link, home: Home, peer: Peer) -> None:
    """A sender, a listener, the socket's reader; stopping ends them within its limit."""
    before = set(threading.enumerate())
    link.register()
    peer.until(lambda: peer.sockets)
    new = [t for t in set(threading.enumerate()) - before if "process_request" not in t.name]
    assert len(new) == 3
    began = time.monotonic()
    link.stop()
    assert time.monotonic() - began < 2.5
    until(lambda: not any(thread.is_alive() for thread in new))


def test_the_same_link_serves_the_next_run(link: Link, home: Home, peer: Peer) -> None:
    """Stop, begin, register: threads come back, the epoch goes up."""
    link.register()
    home.spool.append(event(1))
    link.flush()
    home.spool.end()
    link.stop()
    home.spool.begin(LATER, 2.0)
    answer = link.register()
    assert not isinstance(answer, Unreachable) and answer.epoch == 2
    home.spool.append(event(2))
    assert link.flush() and peer.seqs(LATER) == [1]


def test_in_a_forked_child_the_link_is_cut(link: Link, home: Home, peer: Peer) -> None:
    """The child neither sends nor waits nor stops its parent's threads; the parent goes on."""
    link.register()
    peer.until(lambda: peer.sockets)
    pid = os.fork()
    if pid == 0:
        cut = isinstance(link.register(), Unreachable) and link.flush() is False
        cut = cut and link.receipt("x", "taken") == "unreachable"
        link.nudge(True)
        link.start()
        link.stop()
        os._exit(0 if cut and threading.active_count() == 1 else 1)
    assert os.waitpid(pid, 0)[1] == 0
    home.spool.append(event(1), sync=True)
    assert link.flush() and peer.seqs(RUN) == [1] and len(peer.registers) == 1


def test_a_flush_towards_nobody_does_not_wait_long(home: Home, peer: Peer, heard: Heard) -> None:
    """What fails at once is not waited for."""
    link = linked(home, peer.url, heard)
    link.register()
    peer.down()
    home.spool.append(event(1))
    began = time.monotonic()
    assert link.flush(5) is False and time.monotonic() - began < 3
    link.stop()


def test_a_lost_answer_makes_a_repeat_of_the_same_bytes(home: Home, peer: Peer, heard: Heard) -> None:
    """Done, but the caller was told it failed: the same lines come again, and are known."""
    with Proxy(("127.0.0.1", peer.port)) as proxy:
        link = linked(home, proxy.url, heard)
        link.register()
        link.flush()
        peer.until(lambda: peer.sockets)
        proxy.cut()
        proxy.drop_answers = 2
        home.spool.append(*(event(i) for i in range(50)), sync=True)
        assert until(lambda: link.flush(5), 30)
        assert peer.seqs(RUN) == list(range(1, 51))
        assert not (home.directory / "aside.ndjson").exists()
        link.stop()


@pytest.mark.parametrize("fault", ["cut", "delay", "duplicate", "cut_after", "trickle"])
def test_a_bad_network_costs_time_and_nothing_else(home: Home, peer: Peer, heard: Heard, fault: str) -> None:
    """Through cuts, delays and duplicates every event arrives, in order, once."""
    with Proxy(("127.0.0.1", peer.port)) as proxy:
        link = linked(home, proxy.url, heard)
        link.register()
        proxy.delay, proxy.trickle = 0.02 * (fault == "delay"), fault == "trickle"
        proxy.duplicate = 5 * (fault == "duplicate")
        proxy.cut_after = 20_000 if fault == "cut_after" else None
        for i in range(20):
            home.spool.append(*(event(i) for _ in range(10)), sync=True)
            if fault == "cut":
                proxy.cut()
        proxy.cut_after = None
        assert until(lambda: link.flush(5), 30)
        assert peer.seqs(RUN) == list(range(1, 201))
        link.stop()


class Angry(list[Any]):
    def append(self, item: Any) -> None:
        raise RuntimeError("a bug")


def test_the_wall_clock_may_jump_while_we_send(home: Home, peer: Peer, heard: Heard) -> None:
    """A day forth and two days back: nothing waits, nothing is lost, `sent_at` says what the clock says."""
    clock = home.clock = Clock()  # type: ignore[assignment]
    link = linked(home, peer.url, heard)
    link.register()
    for number, jump in enumerate((86_400.0, -172_800.0, 1e9)):
        clock.now += jump
        home.spool.append(event(number), sync=True)
        assert link.flush()
    assert peer.seqs(RUN) == [1, 2, 3]
    assert peer.headers[-1]["sent_at"] == clock.now
    link.stop()


@pytest.mark.parametrize("token", ["sb_…", "sb a", "sb\nx: y", "sb\x00"])
def test_a_token_that_no_header_takes_is_refused_with_a_sentence(
    home: Home, peer: Peer, heard: Heard, token: str
) -> None:
    """A stray character of a paste is said at once."""
    with pytest.raises(BadArgument, match="SICKBAY_TOKEN"):
        linked(home, peer.url, heard, token=token)


@pytest.mark.parametrize(
    "url",
    ["", " ", "localhost:8000", "ftp://x", "http://", "http://x:99999999", "http://u:p@x", "http://x?a=b"],
)
def test_an_address_that_is_none_is_refused_with_a_sentence(url: str) -> None:
    """A wrong url= fails at once and says how one looks."""
    with pytest.raises(BadArgument, match=r"https://sickbay\.example\.com"):
        checked_url(url)


def test_a_server_that_never_answers_is_named_and_not_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run begins and ends in the time that entering and leaving have; one warning says what is kept."""
    monkeypatch.setattr(_life, "ASK", 0.2)
    monkeypatch.setattr(_life, "FLUSH", 0.8)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        agent = Agent("desk", home=tmp_path, url=url, token="sb_aaaaaaaaaaaa_" + "b" * 43)
        with agent.run() as run:
            assert run.execute(lambda: 3, name="look") == 3
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(said) == 1 and "did not answer within 0.2 s. Everything is kept in" in said[0]
