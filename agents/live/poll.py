"""Commands asked for: at once after a look, or by a long poll where sockets are blocked. Plain ASGI.

After a look, the way through Django's middlewares would cost more than everything else. A poll answers as
soon as there is something, else 204: it listens to the hub, then reads the rows, gives the connection back,
and only then waits, looking at its token every few seconds. (api/receipts.waiting answers the same without a
server of ours.)
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.db import DatabaseError

from agents import hub
from agents.live import door, presence
from agents.services import admission, epochs, obeying

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

LONGEST_WAIT_S = 25
LOOK_AGAIN_S = 3.0
AWAY = admission.Refusal(503, "away", "The database does not answer.", "Ask again later; nothing is lost.")
HEADERS = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
]


async def commands_poll(scope: Scope, receive: Receive, send: Send) -> None:
    """GET /api/v1/agents/<name>/commands/?…[&wait=25]"""
    try:
        agent = scope["url_route"]["kwargs"]["agent"]
        polls = b"wait=" in scope["query_string"]
        caller = await (door.admit if polls else door.bearer)(scope, agent)
    except admission.Refusal as refusal:
        await answer(send, refusal.status, refusal.body)
        return
    gone = asyncio.ensure_future(_gone(receive))
    found = asyncio.ensure_future(_waited_for(caller, scope) if polls else _now(caller))
    try:
        await asyncio.wait({gone, found}, return_when=asyncio.FIRST_COMPLETED)
        if found.done():
            await _answer_with(send, found)
    finally:
        gone.cancel()
        found.cancel()


async def _answer_with(send: Send, found: asyncio.Future[dict[str, Any] | None]) -> None:
    try:
        told = found.result()
    except admission.Refusal as refusal:
        await answer(send, refusal.status, refusal.body)
    except epochs.NotFound:
        await answer(send, admission.NOT_FOUND.status, admission.NOT_FOUND.body)
    except DatabaseError:
        await answer(send, AWAY.status, AWAY.body)
    else:
        await answer(send, 204 if told is None else 200, told)


async def _now(caller: door.Caller) -> dict[str, Any] | None:
    return await door.in_thread(_told, caller)


async def _waited_for(caller: door.Caller, scope: Scope) -> dict[str, Any] | None:
    """What the process is told, as soon as there is something to tell; None when its time is over."""
    slot = hub.Slot()
    leave = hub.here().listen(f"commands-{caller.instance_id}", slot)
    deadline = min(caller.wait, LONGEST_WAIT_S) * random.uniform(0.8, 1.0)
    try:
        async with asyncio.timeout(deadline):
            while True:
                told = await door.in_thread(_told, caller)
                if told["commands"] or told["fenced"]:
                    return told
                if caller.epoch:
                    presence.here().heard(caller.instance_id)
                    presence.here().start()
                await _woken(slot, caller, scope)
    except TimeoutError:
        return None
    finally:
        leave()


async def _woken(slot: hub.Slot, caller: door.Caller, scope: Scope) -> None:
    """Once there is something; admission.Refusal when the token was revoked meanwhile, within seconds."""
    is_over = False
    while not is_over:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_AGAIN_S):
                await slot.wait()
                is_over = True
        await door.bearer(scope, caller.agent)


def _told(caller: door.Caller) -> dict[str, Any]:
    instance = epochs.find(caller.project_id, caller.agent, caller.instance)
    return obeying.told(instance, caller.epoch, caller.after)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def answer(send: Send, status: int, content: dict[str, Any] | None) -> None:
    body = b"" if content is None else json.dumps(content).encode()
    headers = [*HEADERS, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
