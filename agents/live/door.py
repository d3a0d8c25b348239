"""What the agents' socket and poll share: who comes in, and the database without an event loop in its way.

Nothing awaits while it holds a pooled connection: each look at the database is one job in a thread, which
gives its connection back. Looks at instances that come while another is on its way are asked together, so
that a thousand agents that look at once cost a few queries.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import hashlib
import time
import weakref
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, ParamSpec, TypeVar
from urllib.parse import parse_qsl

from django.db import connection
from django.utils import timezone

from agents.models import Instance
from agents.services import admission

P = ParamSpec("P")
T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
THREADS = 4
AT_ONCE = 500
TOKEN_KEPT_S = 2.0
NAMED = """
SELECT k.project, k.agent, k.instance, i.id
FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS k(project, agent, instance)
JOIN agents_agent a ON a.project_id = k.project AND a.name = k.agent
JOIN agents_instance i ON i.agent_id = a.id AND i.name = k.instance
"""
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
    """The caller with its instance, or admission.Refusal."""
    caller = await bearer(scope, agent)
    instance_id = await _gathered(_named).ask((caller.project_id, caller.agent, caller.instance))
    if instance_id is None:
        raise admission.NOT_FOUND
    return replace(caller, instance_id=instance_id)


async def bearer(scope: Mapping[str, Any], agent: str | None = None) -> Caller:
    """The caller by its token alone; whether there is such an instance is not looked at."""
    query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
    header = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    epoch, after, wait = (admission.whole_number(query.get(name)) for name in ("epoch", "after", "wait"))
    name, instance = agent if agent is not None else query.get("agent", ""), query.get("instance", "main")
    token_id, project_id = await _token(header.decode("latin-1"))
    if "\0" in name + instance:
        raise admission.NOT_FOUND
    return Caller(token_id, project_id, name, instance, 0, epoch, after, wait)


async def _token(authorization: str) -> tuple[int, int]:
    """The token and its project; remembered for two seconds, because agents of one token come in crowds."""
    key, now = hashlib.sha256(authorization.encode()).digest(), time.monotonic()
    known = _tokens.get(key)
    if known is not None and now - known[0] < TOKEN_KEPT_S:
        return known[1]
    token = await in_thread(admission.agent_token, authorization, timezone.now())
    if len(_tokens) > 1_000:
        _tokens.clear()
    _tokens[key] = now, (token.pk, token.project_id)
    return token.pk, token.project_id


_tokens: dict[bytes, tuple[float, tuple[int, int]]] = {}


@dataclass(frozen=True, slots=True)
class Seen:
    """An instance's row, as far as the door needs it."""

    epoch: int
    commands_version: int


class Gathered(Generic[K, V]):
    """Questions that come while one is being asked are asked together in the next query."""

    def __init__(self, query: Callable[[list[K]], dict[K, V]]) -> None:
        self._query = query
        self._waiting: dict[K, list[asyncio.Future[V | None]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def ask(self, key: K) -> V | None:
        """The answer as of now, or None when there is none."""
        future: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(future)
        if self._task is None:
            self._task = asyncio.create_task(self._ask())
        return await future

    async def _ask(self) -> None:
        while self._waiting:
            asked = {key: self._waiting.pop(key) for key in list(self._waiting)[:AT_ONCE]}
            try:
                found = await in_thread(self._query, list(asked))
            except Exception as error:
                for future in _open(asked):
                    future.set_exception(error)
                continue
            for key, futures in asked.items():
                for future in _open({key: futures}):
                    future.set_result(found.get(key))
        self._task = None


def _open(asked: dict[K, list[asyncio.Future[V | None]]]) -> list[asyncio.Future[V | None]]:
    """Those who still wait for their answer."""
    return [future for futures in asked.values() for future in futures if not future.done()]


def _named(names: list[tuple[int, str, str]]) -> dict[tuple[int, str, str], int]:
    projects, agents, instances = zip(*names, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(NAMED, [list(projects), list(agents), list(instances)])
        return {(project, agent, instance): pk for project, agent, instance, pk in cursor.fetchall()}


def _rows(ids: list[int]) -> dict[int, Seen]:
    rows = Instance.objects.filter(pk__in=ids).values_list("pk", "epoch", "commands_version")
    return {pk: Seen(epoch, version) for pk, epoch, version in rows}


_of_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[object, Gathered[Any, Any]]]
_of_loop = weakref.WeakKeyDictionary()


def _gathered(query: Callable[[list[K]], dict[K, V]]) -> Gathered[K, V]:
    """The running loop's gathering of this query."""
    of_query = _of_loop.setdefault(asyncio.get_running_loop(), {})
    return of_query.setdefault(query, Gathered(query))


async def look(instance_id: int) -> Seen | None:
    """An instance's row, or None when it is gone."""
    return await _gathered(_rows).ask(instance_id)
