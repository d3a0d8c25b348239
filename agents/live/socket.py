"""The agents' socket: it says look, and carries the heartbeat. A plain ASGI function.

    server  {"hello": {"beat_s", "reconnect_max_s", "commands_version"}}      {"look": version}
    client  {"seq", "doing", "since"}                                         every beat_s

Commands are rows; whoever is told to look asks for them over HTTP, and so loses nothing when a look is lost.
The bearer is checked before the socket is accepted, and every few seconds while it lives (presence). A
process that has been replaced by a newer one is told to look, learns that it is fenced, and is let go: its
beats no longer count.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Annotated, Any

import msgspec

from agents import hub
from agents.live import door, presence
from agents.services import admission, registering

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

UNREADABLE, NO_TOKEN, FORBIDDEN, NOT_FOUND, REPLACED = 4400, 4401, 4403, 4404, 4409
CODES = {401: NO_TOKEN, 403: FORBIDDEN, 404: NOT_FOUND}
LONGEST_FRAME = 4096
log = logging.getLogger("sickbay.live")


class Beat(msgspec.Struct, frozen=True):
    seq: int
    doing: Annotated[str, msgspec.Meta(max_length=2000)] | None = None
    since: float | None = None


class AgentSocket:
    """One open socket."""

    def __init__(self, caller: door.Caller, receive: Receive, send: Send) -> None:
        self.caller = caller
        self.slot = hub.Slot()
        self._receive, self._send = receive, send
        self._told = caller.after
        self._replaced = False
        self._closing: asyncio.Task[None] | None = None

    async def live(self) -> None:
        """Listen first, then read the row: what changes in between is heard."""
        leave = hub.here().listen(f"commands-{self.caller.instance_id}", self.slot)
        presence.here().enter(self)
        teller = None
        try:
            await self._hello()
            teller = asyncio.create_task(self._tell())
            while (message := await self._receive())["type"] == "websocket.receive":
                self._hear(message)
        finally:
            leave()
            presence.here().leave(self)
            if teller is not None:
                teller.cancel()

    def cut(self, code: int = NO_TOKEN) -> None:
        """Close it; the loop that receives sees the end."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close(code))

    async def _hello(self) -> None:
        within = await reconnect_max_s()
        seen = await self._look()
        self._told = seen.commands_version if seen else 0
        hello = {
            "beat_s": registering.BEAT_S,
            "reconnect_max_s": within,
            "commands_version": self._told,
        }
        await self._send({"type": "websocket.accept"})
        await self._send({"type": "websocket.send", "text": json.dumps({"hello": hello})})
        self._heard(None)

    async def _tell(self) -> None:
        while True:
            version, _ = await self.slot.wait()
            if version is not None:
                await self._say(version)
            try:
                seen = await self._look()
            except Exception as error:
                # The database is away. The SDK looks by itself once a minute; so does the next announcement.
                log.warning("a look at instance %s failed: %r", self.caller.instance_id, error)
                continue
            if seen is not None:
                await self._say(seen.commands_version)
            if self._replaced:
                self.cut(REPLACED)
                return

    async def _say(self, version: int) -> None:
        if version > self._told:
            self._told = version
            await self._send({"type": "websocket.send", "text": f'{{"look": {version}}}'})

    async def _look(self) -> door.Seen | None:
        seen = await door.look(self.caller.instance_id)
        self._replaced = seen is None or 0 < self.caller.epoch < seen.epoch
        return seen

    def _hear(self, message: dict[str, Any]) -> None:
        beat = read(message.get("text"))
        if beat is None:
            self.cut(UNREADABLE)
        else:
            self._heard(beat.doing or "")

    def _heard(self, doing: str | None) -> None:
        if self.caller.epoch and not self._replaced:
            presence.here().heard(self.caller.instance_id, doing)

    async def _close(self, code: int) -> None:
        with contextlib.suppress(Exception):
            await self._send({"type": "websocket.close", "code": code})


async def agent_socket(scope: Scope, receive: Receive, send: Send) -> None:
    """GET /api/v1/agents/socket?agent=&instance=&epoch=&process="""
    await receive()
    try:
        caller = await door.admit(scope)
    except admission.Refusal as refusal:
        await send({"type": "websocket.close", "code": CODES.get(refusal.status, UNREADABLE)})
        return
    await AgentSocket(caller, receive, send).live()


async def reconnect_max_s() -> float:
    """Counted in a thread at most every ten seconds, remembered in between."""
    known = registering.reconnect_known()
    return known if known is not None else await door.in_thread(registering.reconnect_max_s)


def read(text: object) -> Beat | None:
    if not isinstance(text, str) or len(text) > LONGEST_FRAME:
        return None
    try:
        return msgspec.json.decode(text.encode(), type=Beat)
    except (ValueError, RecursionError):
        return None
