"""The hub: one Valkey subscription a process, fanned out to whoever waits inside it.

    announce(subject, version) ──Valkey──▶ Hub ──▶ callbacks of that subject ──▶ a newest-version slot

A message is a hint and carries no command: whoever hears it looks at the rows. So nothing is queued, and a
lost message costs nothing but time, provided that somebody says so. The hub does: it drops a connection that
has been silent for 8 s, and after every (re)connect tells each callback to look again, 50 at a time. A
publisher that could not reach Valkey says the same later, on the subject `*`.

The subscription lives while somebody listens. All of it runs on one event loop, one hub a loop.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass

import redis
from django.conf import settings
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection

CHANNEL = "sickbay:announcements"
EVERYTHING = "*"
PING_AFTER = 2.0
SILENT_AFTER = 8.0
AT_A_TIME = 50
LINGER = 1.0
LOST = (redis.RedisError, OSError, EOFError, ValueError)

# (version, spread_ms); version None says: something may have been missed, look again.
Callback = Callable[[int | None, int], None]
log = logging.getLogger("sickbay.hub")


@dataclass(frozen=True, slots=True)
class Announcement:
    subject: str
    version: int
    spread_ms: int = 0

    def encode(self) -> bytes:
        return json.dumps([self.subject, self.version, self.spread_ms]).encode()


def decode(message: bytes) -> Announcement | None:
    """None for what is no announcement of ours: anyone who reaches Valkey can publish."""
    try:
        subject, version, spread_ms = json.loads(message)
    except (ValueError, TypeError, RecursionError):
        return None
    if not isinstance(subject, str) or type(version) is not int or type(spread_ms) is not int:
        return None
    return Announcement(subject, version, min(max(spread_ms, 0), 60_000))


class Slot:
    """A callback for one waiting coroutine: it keeps the newest version, never a queue."""

    def __init__(self) -> None:
        self._version: int | None = -1
        self._spread_ms = 0
        self._heard = asyncio.Event()

    def __call__(self, version: int | None, spread_ms: int = 0) -> None:
        if self._version is not None:
            self._version = version if version is None else max(version, self._version)
        self._spread_ms = max(self._spread_ms, spread_ms)
        self._heard.set()

    async def wait(self) -> tuple[int | None, int]:
        """The newest version since the last call, and over how long to spread the look; None: look again."""
        await self._heard.wait()
        heard = self._version, self._spread_ms
        self._heard.clear()
        self._version, self._spread_ms = -1, 0
        return heard


class Hub:
    def __init__(self, url: str) -> None:
        self._url = url
        self._callbacks: dict[str, set[Callback]] = {}
        self._task: asyncio.Task[None] | None = None
        self._heard_at = 0.0
        self.connected = False
        self.connects = 0

    def listen(self, subject: str, callback: Callback) -> Callable[[], None]:
        """Call `callback` for this subject until the answer is called. Listen first, then read the rows."""
        self._callbacks.setdefault(subject, set()).add(callback)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

        def leave() -> None:
            listeners = self._callbacks.get(subject)
            if listeners is None:
                return
            listeners.discard(callback)
            if not listeners:
                del self._callbacks[subject]
            if not self._callbacks:
                asyncio.get_running_loop().call_later(LINGER, self._stop_if_alone)

        return leave

    def _stop_if_alone(self) -> None:
        """Not at once: who leaves one subject for another needs the subscription again."""
        if not self._callbacks and self._task is not None:
            self._task.cancel()
            self._task = None
            self.connected = False

    async def _run(self) -> None:
        """Connect, hear, and connect again, for as long as somebody listens."""
        wait = 0.1
        while True:
            started = time.monotonic()
            try:
                await self._hear()
            except LOST as error:
                log.warning("the subscription was lost: %r", error)
            self.connected = False
            wait = 0.1 if time.monotonic() - started > 10 else min(2.0, wait * 2)
            await asyncio.sleep(random.uniform(0.05, wait))

    async def _hear(self) -> None:
        """One connection's life. A connection of our own, because a pooled one reconnects without a word."""
        client = Redis.from_url(self._url, protocol=2, socket_connect_timeout=2)
        connection: AbstractConnection = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        tasks: list[asyncio.Task[None]] = []
        try:
            async with asyncio.timeout(5):
                await connection.connect()  # type: ignore[no-untyped-call]
                await connection.send_command("SUBSCRIBE", CHANNEL)
                await connection.read_response()
            self._heard_at = time.monotonic()
            self.connected = True
            self.connects += 1
            loops = (self._read(connection), self._keep_alive(connection), self._look_again())
            tasks = [asyncio.ensure_future(loop) for loop in loops]
            done, _ = await asyncio.wait(tasks[:2], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except TimeoutError as error:
            raise ConnectionError("Valkey did not answer") from error
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await connection.disconnect(nowait=True)

    async def _read(self, connection: AbstractConnection) -> None:
        while True:
            reply = await connection.read_response()
            self._heard_at = time.monotonic()
            if isinstance(reply, list) and reply[0] in (b"message", "message"):
                self._tell(reply[2])

    async def _keep_alive(self, connection: AbstractConnection) -> None:
        """Ping when it is quiet; ends when nothing was heard for too long."""
        while (quiet := time.monotonic() - self._heard_at) < SILENT_AFTER:
            if quiet >= PING_AFTER:
                await connection.send_command("PING")
            await asyncio.sleep(PING_AFTER)
        raise ConnectionError(f"nothing was heard for {SILENT_AFTER} s")

    def _tell(self, message: bytes | str) -> None:
        announcement = decode(message.encode() if isinstance(message, str) else message)
        if announcement is None:
            return
        if announcement.subject == EVERYTHING:
            _keep(asyncio.ensure_future(self._look_again()))
            return
        for callback in tuple(self._callbacks.get(announcement.subject, ())):
            self._call(callback, announcement.version, announcement.spread_ms)

    async def _look_again(self) -> None:
        """50 at a time: whoever looks asks the database."""
        everyone = [callback for listeners in self._callbacks.values() for callback in listeners]
        for i in range(0, len(everyone), AT_A_TIME):
            for callback in everyone[i : i + AT_A_TIME]:
                self._call(callback, None, 0)
            await asyncio.sleep(0.01)

    def _call(self, callback: Callback, version: int | None, spread_ms: int) -> None:
        # One listener's bug must not deafen the others.
        try:
            callback(version, spread_ms)
        except Exception:
            log.exception("a listener of the hub failed")


_hubs: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = weakref.WeakKeyDictionary()
_running: set[asyncio.Future[None]] = set()


def _keep(task: asyncio.Future[None]) -> None:
    """The loop holds its tasks weakly."""
    _running.add(task)
    task.add_done_callback(_running.discard)


def here() -> Hub:
    """The hub of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub(settings.REDIS_URL)
    return _hubs[loop]
