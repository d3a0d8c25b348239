"""How soon a pause reaches a waiting run, and how soon a fleet is back after the web server restarted.

    uv run python -m tests.bench.wake [--agents 1000] [--fleet 5000] [--pauses 200]

A pause counts from its commit to the look on the agent's socket, and to the command in the agent's hands
(a GET on a kept connection). Agents are raw sockets in one process; they come back at the SDK's own pace.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import random
import resource
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import orjson

from sickbay._pacing import Pacing
from tests.bench import ground

WANTED_MS = 50
WANTED_S = 30
failed: Counter[str] = Counter()


class Agent:
    """One agent's socket, by hand: a handshake, and the server's short text frames."""

    def __init__(self, url: str, token: str, name: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname, parts.port
        self.name, self.bearer = name, f"Authorization: Bearer {token}\r\n"
        self.looked: asyncio.Queue[float] = asyncio.Queue()
        self.reconnect_max_s = 2.0
        self.hello_at = 0.0

    async def connect(self) -> None:
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
        key = base64.b64encode(os.urandom(16)).decode()
        query = f"agent={self.name}&instance=main&epoch=1&process={'0' * 32}"
        self.writer.write(
            (
                f"GET /api/v1/agents/socket?{query} HTTP/1.1\r\nHost: localhost\r\n{self.bearer}"
                "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                f"Sec-WebSocket-Key: {key}\r\n\r\n"
            ).encode()
        )
        head = await self.reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise ConnectionError(head.split(b"\r\n")[0].decode())
        hello = (await self.frame())["hello"]
        self.reconnect_max_s, self.hello_at = hello["reconnect_max_s"], time.perf_counter()

    async def frame(self) -> Any:
        while True:
            first, length = await self.reader.readexactly(2)
            if length == 126:
                length = int.from_bytes(await self.reader.readexactly(2), "big")
            body = await self.reader.readexactly(length)
            if first & 0x0F == 1:
                return orjson.loads(body)
            if first & 0x0F == 8:
                raise ConnectionError("closed by the server")
            if first & 0x0F == 9:
                mask = os.urandom(4)
                masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(body))
                self.writer.write(bytes([0x8A, 0x80 | len(body)]) + mask + masked)

    async def listen(self) -> None:
        while "look" in await self.frame():
            self.looked.put_nowait(time.perf_counter())

    async def live(self) -> None:
        """Hears until the cut, then comes back for ever, as often as the SDK's own pacing says."""
        pacing = Pacing()
        pacing.told(self.reconnect_max_s)
        while True:
            try:
                await self.listen()
            except (OSError, EOFError):
                self.hello_at = 0.0
                self.close()
            while not self.hello_at:
                await asyncio.sleep(pacing.failed())
                try:
                    async with asyncio.timeout(20):
                        await self.connect()
                except (OSError, EOFError, TimeoutError) as error:
                    failed[f"{type(error).__name__} {error}"[:60]] += 1
                    self.close()
            pacing.worked()

    def close(self) -> None:
        if hasattr(self, "writer"):
            self.writer.close()


class Asker:
    """A kept connection on which an agent asks for its commands."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent

    async def ask(self) -> int:
        """How many commands wait."""
        if not hasattr(self, "writer"):
            self.reader, self.writer = await asyncio.open_connection(self.agent.host, self.agent.port)
        path = f"/api/v1/agents/{self.agent.name}/commands/?instance=main&epoch=1&after=0"
        self.writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{self.agent.bearer}\r\n".encode())
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        return len(orjson.loads(await self.reader.readexactly(length))["commands"])


async def all_of(agents: list[Agent], what: Callable[[Agent], Awaitable[Any]], at_once: int = 200) -> None:
    gate = asyncio.Semaphore(at_once)

    async def one(agent: Agent) -> None:
        async with gate:
            await what(agent)

    await asyncio.gather(*(one(agent) for agent in agents))


def make_fleet(count: int, prefix: str) -> tuple[str, list[str]]:
    """A project with this many living agents, and a token for them."""
    from agents.models import Agent as Row
    from agents.models import Heartbeat, Instance, Run
    from tests.builders import make_project, make_token

    project = make_project(prefix)
    names = [f"{prefix}-{i}" for i in range(count)]
    rows = Row.objects.bulk_create([Row(project=project, name=name, status="running") for name in names])
    instances = Instance.objects.bulk_create(
        [Instance(agent=row, live=True, epoch=1, status="running", reported="running") for row in rows]
    )
    Heartbeat.objects.bulk_create([Heartbeat(instance=instance) for instance in instances])
    from django.utils import timezone

    Run.objects.bulk_create([Run(instance=i, epoch=1, started_at=timezone.now()) for i in instances])
    return make_token(project), names


async def wake(url: str, count: int, pauses: int) -> list[tuple[Any, ...]]:
    """The delays of many pauses, one after the other, with everyone connected."""
    token, names = await asyncio.to_thread(make_fleet, count, "wake")
    agents = [Agent(url, token, name) for name in names]
    await all_of(agents, lambda agent: agent.connect())
    listening = [asyncio.create_task(agent.listen()) for agent in agents]
    looks, commands = [], []
    for agent in random.sample(agents, min(pauses, count)):
        asker = Asker(agent)
        await asker.ask()
        committed = await asyncio.to_thread(order, agent.name)
        looks.append(((await agent.looked.get()) - committed) * 1000)
        assert await asker.ask() == 1
        commands.append((time.perf_counter() - committed) * 1000)
        asker.writer.close()
    for task in listening:
        task.cancel()
    await asyncio.gather(*listening, return_exceptions=True)
    for agent in agents:
        agent.close()
    head = ("ms from the commit", "p50", "p90", "p99", "max")
    parts = (0.5, 0.9, 0.99, 1.0)
    return [
        head,
        ("look on the socket", *(ground.percentile(looks, part) for part in parts)),
        ("command in hand", *(ground.percentile(commands, part) for part in parts)),
    ]


def order(name: str) -> float:
    """A human pauses the agent; the moment of the commit."""
    from django.db import connection, transaction
    from django.utils import timezone

    from agents import access
    from agents.models import Agent as Row
    from agents.services import pauses

    agent = Row.objects.get(name=name)
    actor = access.Actor("token", "bench", agent.project_id, scope="operator")
    try:
        with transaction.atomic():
            pauses.order(actor=actor, agent=agent, reason="bench", now=timezone.now())
            committed: list[float] = []
            first = connection.run_on_commit
            connection.run_on_commit = [(set(), lambda: committed.append(time.perf_counter()), False), *first]
        return committed[0]
    finally:
        connection.close()


async def come_back(daphne: Any, count: int) -> list[tuple[Any, ...]]:
    """Seconds from the restart of Daphne until the whole fleet has its hello again."""
    token, names = await asyncio.to_thread(make_fleet, count, "fleet")
    agents = [Agent(daphne.url, token, name) for name in names]
    started, before = time.perf_counter(), ground.cpu(daphne.process.pid)
    await all_of(agents, lambda agent: agent.connect(), at_once=400)
    at_once = time.perf_counter() - started
    each_ms = (ground.cpu(daphne.process.pid) - before) / count * 1000
    lives = [asyncio.create_task(agent.live()) for agent in agents]
    daphne.process.stop(3)
    for agent in agents:
        agent.hello_at = 0.0
    restarted = time.perf_counter()
    await asyncio.to_thread(daphne.start)
    up = time.perf_counter() - restarted
    deadline = restarted + 120
    while (missing := sum(not agent.hello_at for agent in agents)) and time.perf_counter() < deadline:
        await asyncio.sleep(0.05)
    back = sorted(agent.hello_at - restarted for agent in agents if agent.hello_at)
    for life in lives:
        life.cancel()
    await asyncio.gather(*lives, return_exceptions=True)
    for agent in agents:
        agent.close()
    return [
        (
            "agents",
            "connect at once, s",
            "server ms each",
            "Daphne up, s",
            "half back, s",
            "all back, s",
            "missing",
        ),
        (
            count,
            at_once,
            each_ms,
            up,
            back[len(back) // 2] if back else 0.0,
            back[-1] if back else 0.0,
            missing,
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--fleet", type=int, default=5000)
    parser.add_argument("--pauses", type=int, default=200)
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with ground.servers():
        from tests.product import running_daphne

        with running_daphne() as daphne:
            rows = asyncio.run(wake(daphne.url, options.agents, options.pauses))
            ground.table(f"Pause → waiting run, {options.agents} agents on sockets, one Daphne", rows)
            print(f"  wanted: p99 ≤ {WANTED_MS} ms")
            if options.fleet:
                rows = asyncio.run(come_back(daphne, options.fleet))
                ground.table("Restart of Daphne", rows)
                print(f"  wanted: all back within {WANTED_S} s; tries that failed: {dict(failed)}")


if __name__ == "__main__":
    main()
