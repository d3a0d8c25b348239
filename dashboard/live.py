"""The browsers' socket: it says what changed, never how it looks.

    client  {"watch": ["agent-42", "fleet-1"]}         only topics of projects that the user may see
    server  {"watching": 2}                            from now on nothing is missed: look at everything once
            {"topic": "agent-42", "version": 7, "spread_ms": 0}
            {"again": 1, "spread_ms": 500}             something may have been missed: look at everything
            {"beat": 1}                                every 20 s

The origin is checked before (serving/origins), the session at open and every 3 s for all sockets of the
process at once: signed out or disabled → 4401, no longer a member → 4403, another role → 4408, on which
the page comes again with the new one. A topic is a slot with its newest version, never a queue.

What concerns a whole fleet is looked at by every browser that shows it, so the process that knows how
many there are says over how long to spread it: half a second, or a second for each hundred.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.urls import URLPattern, path

from agents import hub
from agents.queries import topics
from agents.queries.topics import Rights

BEAT_S = 20.0
CHECK_S = 3.0
MOST_TOPICS = 500
SPREAD_MS = 500
UNREADABLE, SIGNED_OUT, FORBIDDEN, CHANGED = 4400, 4401, 4403, 4408


class BrowserSocket(AsyncWebsocketConsumer):  # type: ignore[misc]
    """One open page."""

    async def connect(self) -> None:
        self.watched: dict[str, int] = {}
        self.leave: dict[str, Callable[[], None]] = {}
        self.news: dict[str, tuple[int, int]] = {}
        self.again = False
        self.stir = asyncio.Event()
        self.sender: asyncio.Task[None] | None = None
        self.session_key: str = self.scope["session"].session_key or ""
        rights = (await database_sync_to_async(topics.rights_of)([self.session_key])).get(self.session_key)
        await self.accept()
        if rights is None:
            await self.close(SIGNED_OUT)
            return
        self.rights = rights
        self.sender = asyncio.create_task(self._send_news())
        guard().add(self)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        wanted = _wanted(text_data)
        if wanted is None or self.sender is None:
            await self.close(UNREADABLE)
            return
        found = await database_sync_to_async(topics.projects_of)(wanted)
        if not all(self.rights.sees(project) for project in found.values()):
            await self.close(FORBIDDEN)
            return
        self._watch(found)
        await self.send(json.dumps({"watching": len(found)}))

    async def disconnect(self, code: int) -> None:
        guard().discard(self)
        self._watch({})
        if self.sender is not None:
            self.sender.cancel()

    async def judged(self, rights: Rights | None) -> None:
        """What the check of all sockets found out about this one's session."""
        if rights is None or rights.user_id != self.rights.user_id:
            await self.close(SIGNED_OUT)
        elif not all(rights.sees(project) for project in self.watched.values()):
            await self.close(FORBIDDEN)
        elif rights != self.rights:
            await self.close(CHANGED)

    def _watch(self, found: dict[str, int]) -> None:
        """Listen to these and no others. From here on nothing is missed."""
        for gone in self.leave.keys() - found.keys():
            self.leave.pop(gone)()
        for topic in found.keys() - self.leave.keys():
            self.leave[topic] = hub.here().listen(topic, partial(self._hear, topic))
        self.watched = found

    def _hear(self, topic: str, version: int | None, spread_ms: int) -> None:
        if version is None:
            self.again = True
        else:
            newest, longest = self.news.get(topic, (0, 0))
            self.news[topic] = max(version, newest), max(spread_ms, longest)
        self.stir.set()

    async def _send_news(self) -> None:
        while True:
            try:
                async with asyncio.timeout(BEAT_S):
                    await self.stir.wait()
            except TimeoutError:
                await self.send('{"beat":1}')
                continue
            self.stir.clear()
            again, self.again = self.again, False
            news, self.news = self.news, {}
            if again:
                await self.send(json.dumps({"again": 1, "spread_ms": spread_of_a_fleet()}))
                continue
            for topic, (version, spread) in news.items():
                spread = max(spread, spread_of_a_fleet()) if topic.startswith("fleet-") else spread
                await self.send(json.dumps({"topic": topic, "version": version, "spread_ms": spread}))


class Guard:
    """Every open socket of an event loop, judged together; it sleeps while there is none."""

    def __init__(self) -> None:
        self.sockets: set[BrowserSocket] = set()
        self._task: asyncio.Task[None] | None = None

    def add(self, socket: BrowserSocket) -> None:
        self.sockets.add(socket)
        if self._task is None:
            self._task = asyncio.create_task(self._rounds())

    def discard(self, socket: BrowserSocket) -> None:
        self.sockets.discard(socket)
        if not self.sockets and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _rounds(self) -> None:
        """A database that is away judges nobody: the next round does."""
        while True:
            await asyncio.sleep(CHECK_S)
            asked = tuple(self.sockets)  # one that opens meanwhile was not asked about
            with contextlib.suppress(Exception):
                rights = await database_sync_to_async(topics.rights_of)({one.session_key for one in asked})
                for socket in asked:
                    if socket in self.sockets:
                        await socket.judged(rights.get(socket.session_key))


_guards: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Guard] = weakref.WeakKeyDictionary()


def guard() -> Guard:
    """The guard of the running event loop."""
    return _guards.setdefault(asyncio.get_running_loop(), Guard())


def spread_of_a_fleet() -> int:
    """Milliseconds over which the browsers of this process look at a fleet-wide change."""
    return max(SPREAD_MS, 10 * len(guard().sockets))


def _wanted(text: str | None) -> list[str] | None:
    """The topics of a watch message, or None for anything else."""
    try:
        wanted: Any = json.loads(text or "")["watch"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not isinstance(wanted, list) or len(wanted) > MOST_TOPICS:
        return None
    return wanted if all(isinstance(topic, str) and len(topic) <= 40 for topic in wanted) else None


browser_routes: list[URLPattern] = [path("live/", BrowserSocket.as_asgi())]
