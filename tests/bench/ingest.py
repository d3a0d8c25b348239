"""Events acknowledged after commit by one Daphne, beside what COPY alone does in the same run.

    uv run python -m tests.bench.ingest [--seconds 10]

Every check is on. Each connection is an agent of its own with one batch in flight, as the SDK has it; bodies
are packed beforehand, so that the generator costs little.
"""

from __future__ import annotations

import argparse
import asyncio
import time
import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import orjson
import zstandard

from tests.bench import ground

TARGET = 20_000
AGENTS = 4


def event(i: int) -> bytes:
    """About 300 bytes: what an SDK spools for a common action."""
    return orjson.dumps(
        {
            "kind": "action",
            "at": 1_764_000_000.0 + i / 1000,
            "name": ("search_flights", "get_user", "update_booking", "calculate")[i % 4],
            "outcome": "ok" if i % 29 else "failed",
            "verdict": "pass" if i % 3 else None,
            "took_ms": 12.5 + i % 7,
            "input": {"user": f"user_{i % 1000}", "origin": "JFK", "destination": "SEA", "cabin": "economy"},
            "output": {"flights": [i % 900, i % 700], "total": 412.5},
            "error": None,
            "external": False,
            "attempts": 1,
            "act": i,
            "title": f"search_flights JFK to SEA, user_{i % 1000}",
        }
    )


@dataclass
class Agent:
    """One connection: registers, then posts batch after batch."""

    url: str
    token: str
    name: str
    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    seq: int = 1
    stored: int = 0
    took: list[float] = field(default_factory=list)

    async def connect(self) -> None:
        parts = urlsplit(self.url)
        self.reader, self.writer = await asyncio.open_connection(parts.hostname, parts.port)

    async def post(self, path: str, body: bytes, encoding: str = "identity") -> Any:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.token}\r\n"
            f"Content-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.writer.write(head.encode() + body)
        answer = await self.reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        content = await self.reader.readexactly(length)
        assert b" 200 " in answer.split(b"\r\n")[0], content
        return orjson.loads(content)

    def header(self, n: int) -> dict[str, Any]:
        now = time.time()
        state = {"status": "running", "since": now, "doing": None, "account": ACCOUNT}
        return {
            "agent": self.name,
            "instance": "main",
            "process": self.run,
            "run": self.run,
            "started_at": now,
            "epoch": 1,
            "first_seq": self.seq,
            "n": n,
            "sent_at": now,
            "state": state,
        }

    async def register(self) -> None:
        said = {**self.header(0), "wants": "run", "epoch": 0}
        for key in ("first_seq", "n"):
            del said[key]
        assert (await self.post("/api/v1/agents/register/", orjson.dumps(said)))["epoch"] == 1

    async def run_until(self, deadline: float, size: int) -> None:
        packer = zstandard.ZstdCompressor(level=3)
        lines = b"\n".join(event(i) for i in range(size))
        while time.perf_counter() < deadline:
            body = packer.compress(orjson.dumps(self.header(size)) + b"\n" + lines)
            started = time.perf_counter()
            answer = await self.post("/api/v1/events/", body, "zstd")
            self.took.append(time.perf_counter() - started)
            assert answer["ack"] == self.seq + size - 1, answer
            self.stored += answer["stored"]
            self.seq += size


ACCOUNT = {"number": 1, "streak": [], "hour": [], "others": [], "seen": [], "probation": None}


async def load(url: str, token: str, size: int, seconds: float) -> tuple[int, float, list[float]]:
    """Events stored, seconds, and how long each request took."""
    agents = [Agent(url, token, f"bench-{size}-{i}") for i in range(AGENTS)]
    for agent in agents:
        await agent.connect()
        await agent.register()
    started = time.perf_counter()
    await asyncio.gather(*(agent.run_until(started + seconds, size) for agent in agents))
    took = time.perf_counter() - started
    for agent in agents:
        agent.writer.close()
    return sum(a.stored for a in agents), took, [t for a in agents for t in a.took]


def floor(size: int, seconds: float) -> float:
    """Events a second by COPY alone, on one connection, into the same table: rows ready, nothing checked."""
    from django.db import connection
    from django.utils import timezone

    from agents.services.copying import COPY

    run, now = uuid.uuid4(), timezone.now()
    title = "search_flights JFK to SEA"
    rest = ("action", "search_flights", "ok", "pass", None, "", title, event(7).decode())
    stored, started = 0, time.perf_counter()
    while time.perf_counter() < started + seconds:
        ids = range(stored, stored + size)
        rows = [(now, now, f"{run.hex}-{seq}", 1, 1, 1, run, seq, False, b"12345678", *rest) for seq in ids]
        with connection.cursor() as cursor, cursor.copy(COPY) as copying:
            for row in rows:
                copying.write_row(row)
        stored += size
    return stored / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    seconds = parser.parse_args().seconds
    with ground.servers():
        from tests.builders import make_project, make_token
        from tests.product import running_daphne

        token = make_token(make_project("bench"))
        rows: list[tuple[Any, ...]] = [
            ("batch", "events/s", "COPY alone/s", "part", "server µs/event", "p50 ms", "p99 ms")
        ]
        with running_daphne() as daphne:
            assert daphne.process is not None and daphne.process.pid is not None
            asyncio.run(load(daphne.url, token, 100, 2.0))
            for size in (500, 200, 50):
                lowest = floor(size, seconds / 3)
                before = ground.cpu(daphne.process.pid)
                stored, took, each = asyncio.run(load(daphne.url, token, size, seconds))
                cost = (ground.cpu(daphne.process.pid) - before) / stored * 1e6
                rate = stored / took
                p50, p99 = (ground.percentile(each, part) * 1000 for part in (0.5, 0.99))
                rows.append((size, round(rate), round(lowest), f"{rate / lowest:.0%}", cost, p50, p99))
        ground.table(f"Ingest, one Daphne, {AGENTS} agents, events of {len(event(1))} bytes", rows)
        print(f"\n  wanted: {TARGET:,} events/s at 500 a batch; got {rows[1][1]:,}")


if __name__ == "__main__":
    main()
