"""Is this process alive, and can it serve?

`/healthz`: the process lives. `/readyz`: 200 when this process can serve, which takes the database and its
migrations; what else is missing stands under `degraded`, because a dead beat must not take the screen away
at 3 am. `/readyz?all` is strict: 503 for anything missing.

Beat and worker leave a pulse in Valkey every few seconds. The worker's comes by way of beat, so it is
called missing only while beat is there.
"""

from __future__ import annotations

import time

import psycopg
import redis
from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

PARTS = ("beat", "worker")
PULSE_EVERY = 5.0
PULSE_LASTS = 20.0
_migrated = False


@require_GET
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok\n", content_type="text/plain")


@require_GET
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    missing = serving_needs()
    degraded = [] if missing else degradations(time.time())
    is_ready = not missing and not ("all" in request.GET and degraded)
    answer = {"ready": is_ready, "missing": missing, "degraded": degraded}
    return JsonResponse(answer, status=200 if is_ready else 503)


def serving_needs() -> list[str]:
    """What this process lacks to serve. Asked beside the pool, which would wait ten seconds."""
    try:
        params = connection.get_connection_params()
        params = {k: v for k, v in params.items() if k not in ("pool", "cursor_factory", "context")}
        with psycopg.connect(**params, connect_timeout=2, autocommit=True) as probe:
            probe.execute("SELECT 1")
        return [] if is_migrated() else ["migrations"]
    except psycopg.Error:
        return ["database"]


def is_migrated() -> bool:
    """Asked until it is true: this process's code stays, and the database only moves forward."""
    global _migrated
    if not _migrated:
        executor = MigrationExecutor(connection)
        _migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    return _migrated


def degradations(now: float) -> list[str]:
    try:
        with valkey() as client:
            beat, worker = client.mget(map(pulse_key, PARTS))
    except redis.RedisError:
        return ["valkey"]
    if is_stale(beat, now):
        return ["beat"]
    return ["worker"] if is_stale(worker, now) else []


def is_stale(pulse: bytes | None, now: float) -> bool:
    return pulse is None or now - float(pulse) > PULSE_LASTS


def pulse_key(part: str) -> str:
    return f"sickbay:pulse:{part}"


def write_pulse(part: str, now: float) -> None:
    with valkey() as client:
        client.set(pulse_key(part), repr(now), ex=60)


def valkey() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=0.5, socket_connect_timeout=0.5)
