"""What the agents' socket and poll share: who comes in, and the database without an event loop in its way.

Nothing awaits while it holds a pooled connection: each look at the database is one job in a thread, which
gives its connection back. Looks at instances are gathered for a few milliseconds and asked in one query, so
that a thousand agents that look at once cost two.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import hashlib
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar
from urllib.parse import parse_qsl

from django.db import connection
from django.utils import timezone

from agents.models import Instance
from agents.services import admission, epochs

P = ParamSpec("P")
T = TypeVar("T")
THREADS = 4
GATHER_S = 0.01
AT_ONCE = 500
TOKEN_KEPT_S = 2.0
_threads = concurrent.futures.ThreadPoolExecutor(THREADS, thread_name_prefix="live")


async def in_thread(job: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a job that uses the ORM."""

    def run() -> T:
        try:
            return job(*args, **kwargs)
        finally:
            connection.close()

    return await asyncio.get_running_loop().run_in_executor(_threads, run)


@dataclass(frozen=True, slots=True)
class Caller:
    """A process of an agent that came in: its token, its instance, and what it says of itself."""

    token_id: int
    project_id: int
    agent: str
    instance: str
    instance_id: int
    epoch: int
    after: int
    wait: int


async def admit(scope: Mapping[str, Any], agent: str | None = None) -> Caller:
    """The caller, or admission.Refusal."""
    query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
    header = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    numbers = {name: admission.whole_number(query.get(name)) for name in ("epoch", "after", "wait")}
    name = agent if agent is not None else query.get("agent", "")
    return await in_thread(_admit, header.decode("latin-1"), name, query.get("instance", "main"), numbers)


def _admit(authorization: str, agent: str, instance: str, numbers: dict[str, int]) -> Caller:
    token_id, project_id = _token(authorization)
    if "\0" in agent + instance:
        raise admission.NOT_FOUND
    try:
        found = epochs.find(project_id, agent, instance)
    except epochs.NotFound as error:
        raise admission.NOT_FOUND from error
    return Caller(token_id, project_id, agent, instance, found.pk, **numbers)


def _token(authorization: str) -> tuple[int, int]:
    """The token and its project; remembered for two seconds, because agents of one token come in crowds."""
    key, now = hashlib.sha256(authorization.encode()).digest(), time.monotonic()
    known = _tokens.get(key)
    if known is not None and now - known[0] < TOKEN_KEPT_S:
        return known[1]
    if len(_tokens) > 1_000:
        _tokens.clear()
    token = admission.agent_token(authorization, timezone.now())
    _tokens[key] = now, (token.pk, token.project_id)
    return token.pk, token.project_id


_tokens: dict[bytes, tuple[float, tuple[int, int]]] = {}


@dataclass(frozen=True, slots=True)
class Seen:
    """An instance's row, as far as the door needs it."""

    epoch: int
    commands_version: int


class Looks:
    """Looks at instances, gathered."""

    def __init__(self) -> None:
        self._waiting: dict[int, list[asyncio.Future[Seen | None]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def look(self, instance_id: int) -> Seen | None:
        """The row as it is now, or None when it is gone."""
        future: asyncio.Future[Seen | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(instance_id, []).append(future)
        if self._task is None:
            self._task = asyncio.create_task(self._ask())
        return await future

    async def _ask(self) -> None:
        while self._waiting:
            await asyncio.sleep(GATHER_S)
            ids = list(self._waiting)[:AT_ONCE]
            asked = {id: self._waiting.pop(id) for id in ids}
            try:
                found = await in_thread(_rows, ids)
            except Exception as error:
                _settle(asked, error)
                continue
            _settle(asked, found)
        self._task = None


def _settle(asked: dict[int, list[asyncio.Future[Seen | None]]], found: dict[int, Seen] | Exception) -> None:
    for id, futures in asked.items():
        for future in futures:
            if future.done():
                continue
            if isinstance(found, Exception):
                future.set_exception(found)
            else:
                future.set_result(found.get(id))


def _rows(ids: list[int]) -> dict[int, Seen]:
    rows = Instance.objects.filter(pk__in=ids).values_list("pk", "epoch", "commands_version")
    return {pk: Seen(epoch, version) for pk, epoch, version in rows}


_looks: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Looks] = weakref.WeakKeyDictionary()


async def look(instance_id: int) -> Seen | None:
    return await _looks.setdefault(asyncio.get_running_loop(), Looks()).look(instance_id)
