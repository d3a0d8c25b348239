"""Who was heard: beats are kept in memory and written once a second, for all agents in one update.

The process says each second that it lives itself, so that the watchdog does not take the loss of a server
for the silence of its agents. Every few seconds all open sockets' tokens are looked at, and those of a
token that was revoked or has expired are closed.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
import weakref
from collections.abc import Iterable
from typing import Protocol

from django.db.models import Q
from django.utils import timezone

from agents.live import door
from agents.models import Token
from agents.services import beats, watchdog

EVERY_S = 1.0
TOKENS_EVERY = 3
log = logging.getLogger("sickbay.live")


class Socket(Protocol):
    caller: door.Caller

    def cut(self) -> None: ...


class Presence:
    def __init__(self) -> None:
        self.process = uuid.uuid4()
        self.sockets: set[Socket] = set()
        self._heard: set[int] = set()
        self._doing: dict[int, str] = {}
        self._said: dict[int, str] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
            self._task.add_done_callback(_no_longer_collected)
            beats.by_request.is_collected = True

    def heard(self, instance_id: int, doing: str | None = None) -> None:
        self._heard.add(instance_id)
        if doing is not None and self._said.get(instance_id) != doing:
            self._said[instance_id] = self._doing[instance_id] = doing

    def enter(self, socket: Socket) -> None:
        self.sockets.add(socket)
        self.start()

    def leave(self, socket: Socket) -> None:
        self.sockets.discard(socket)
        self._said.pop(socket.caller.instance_id, None)

    async def _run(self) -> None:
        """A database that is away loses one second's beats; the next ones come."""
        rounds = 0
        while True:
            await asyncio.sleep(EVERY_S)
            rounds += 1
            try:
                await self._write()
                if rounds % TOKENS_EVERY == 0 and self.sockets:
                    await self._check_tokens()
            except Exception:
                log.exception("beats could not be written")

    async def _write(self) -> None:
        heard, self._heard = self._heard | beats.by_request.taken(), set()
        doing, self._doing = self._doing, {}
        now = timezone.now()
        try:
            await door.in_thread(watchdog.seen, heard, now, self.process)
        except Exception:
            self._heard |= heard
            raise
        if doing:
            await door.in_thread(beats.note, doing, now)

    async def _check_tokens(self) -> None:
        ids = {socket.caller.token_id for socket in self.sockets}
        good = await door.in_thread(_good_tokens, ids)
        for socket in tuple(self.sockets):
            if socket.caller.token_id in ids - good:
                socket.cut()


def _no_longer_collected(_: object) -> None:
    beats.by_request.is_collected = False


def _good_tokens(ids: Iterable[int]) -> set[int]:
    alive = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    return set(Token.objects.filter(alive, pk__in=ids, revoked_at=None).values_list("pk", flat=True))


_presences: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Presence] = weakref.WeakKeyDictionary()


def here() -> Presence:
    """The presence of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _presences:
        _presences[loop] = Presence()
    return _presences[loop]


def start() -> None:
    """Called by the server as soon as its loop runs: from then on it could hear."""
    here().start()
