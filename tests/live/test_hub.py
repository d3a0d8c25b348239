"""Hints may be lost; that they may have been lost is always said."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from agents import announce, hub
from agents.hub import CHANNEL, Announcement, Hub, Slot
from dashboard.embedded.children import Child
from dashboard.embedded.valkey import Valkey, choose_url
from tests.waiting import until


class Server:
    """A Valkey of this test's own, to be killed and hung."""

    def __init__(self, data: Path) -> None:
        self.valkey = Valkey(data, data / "valkey.log", choose_url(None), lasting=False)
        self.valkey.prepare()
        self.child: Child | None = None
        self.start()

    @property
    def url(self) -> str:
        return self.valkey.url

    def start(self) -> None:
        self.child = self.valkey.child()
        self.child.start()
        self.valkey.wait_until_ready(self.child)

    def kill(self) -> None:
        assert self.child is not None
        self.child.stop(0)

    def send(self, number: int) -> None:
        with redis.Redis.from_url(self.url) as client:
            os.kill(int(client.info("server")["process_id"]), number)


@pytest.fixture
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as data:
        server = Server(Path(data))
        yield server
        server.kill()


async def soon(condition: Callable[[], object], timeout: float = 10) -> None:
    await asyncio.to_thread(until, condition, timeout)


async def heard(slot: Slot, timeout: float = 10) -> int | None:
    async with asyncio.timeout(timeout):
        return (await slot.wait())[0]


def publish(url: str, subject: str, version: int) -> None:
    with redis.Redis.from_url(url) as client:
        client.publish(CHANNEL, Announcement(subject, version).encode())


def listening(url: str, test: Callable[[Hub, Slot], asyncio.Future[None]]) -> None:
    """Run `test` with a hub that listens to agent-1 and has said its first "look again"."""

    async def run() -> None:
        slot = Slot()
        the_hub = Hub(url)
        leave = the_hub.listen("agent-1", slot)
        try:
            assert await heard(slot) is None
            await test(the_hub, slot)
        finally:
            leave()

    asyncio.run(run())


def test_a_slot_keeps_the_newest_and_never_a_queue() -> None:
    """A thousand announcements are one look."""

    async def run() -> None:
        slot = Slot()
        for version in [*range(1000), 7]:
            slot(version)
        assert (await slot.wait())[0] == 999
        slot(3)
        slot(None)
        assert (await slot.wait())[0] is None

    asyncio.run(run())


def test_only_its_subject_is_heard(server: Server) -> None:
    """Fan-out is by subject; nonsense on the channel is passed over."""

    async def test(_: Hub, slot: Slot) -> None:
        with redis.Redis.from_url(server.url) as client:
            for nonsense in (b"", b"[]", b"\xff", b'["agent-1"]', b'["agent-1","7",0]', b"[" * 5000):
                client.publish(CHANNEL, nonsense)
        publish(server.url, "agent-2", 9)
        publish(server.url, "agent-1", 7)
        assert await heard(slot) == 7

    listening(server.url, test)


def test_killed_and_back_everyone_looks_again(server: Server) -> None:
    """A Valkey that died costs time, and everyone is told that something may have been missed."""

    async def test(the_hub: Hub, slot: Slot) -> None:
        server.kill()
        await soon(lambda: not the_hub.connected)
        server.start()
        assert await heard(slot) is None
        publish(server.url, "agent-1", 8)
        assert await heard(slot) == 8

    listening(server.url, test)


def test_hung_it_is_dropped(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that says nothing, not even to a ping, is no connection."""
    monkeypatch.setattr(hub, "PING_AFTER", 0.1)
    monkeypatch.setattr(hub, "SILENT_AFTER", 0.5)

    async def test(the_hub: Hub, slot: Slot) -> None:
        with redis.Redis.from_url(server.url) as client:
            pid = int(client.info("server")["process_id"])
        os.kill(pid, signal.SIGSTOP)
        try:
            await soon(lambda: not the_hub.connected)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert await heard(slot) is None

    listening(server.url, test)


def test_flushed_it_changes_nothing(server: Server) -> None:
    """Valkey holds nothing of ours that an announcement needs."""

    async def test(_: Hub, slot: Slot) -> None:
        with redis.Redis.from_url(server.url) as client:
            client.flushall()
        publish(server.url, "agent-1", 5)
        assert await heard(slot) == 5

    listening(server.url, test)


def test_a_lost_announcement_is_made_good(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever could not publish says so as soon as it can: everyone looks again."""
    publisher = announce.Publisher()
    monkeypatch.setattr(announce.settings, "REDIS_URL", server.url)

    async def test(the_hub: Hub, slot: Slot) -> None:
        server.kill()
        await soon(lambda: not the_hub.connected)
        started = time.monotonic()
        for version in range(20):
            publisher.publish(Announcement("agent-1", version))
        assert time.monotonic() - started < 0.6
        assert publisher.lost == 20
        server.start()
        assert await heard(slot) is None
        await soon(lambda: not publisher.owes)
        publisher.publish(Announcement("agent-1", 30))
        while await heard(slot) != 30:
            pass

    listening(server.url, test)


def test_one_deaf_listener_deafens_nobody(server: Server) -> None:
    """A callback that raises is logged; the others are called."""

    async def test(the_hub: Hub, slot: Slot) -> None:
        def broken(version: int | None, spread_ms: int) -> None:
            raise RuntimeError("a bug of a page")

        leave = the_hub.listen("agent-1", broken)
        publish(server.url, "agent-1", 11)
        assert await heard(slot) == 11
        leave()

    listening(server.url, test)


def test_who_changes_the_subject_misses_nothing(server: Server) -> None:
    """The last listener that leaves one subject for another keeps the subscription."""

    async def run() -> None:
        slot, the_hub = Slot(), Hub(server.url)
        leave = the_hub.listen("agent-1", slot)
        assert await heard(slot) is None
        leave()
        leave = the_hub.listen("agent-2", slot)
        publish(server.url, "agent-2", 6)
        assert await heard(slot) == 6
        assert the_hub.connects == 1
        leave()

    asyncio.run(run())
