"""`manage.py beat`: sends the periodic tasks of CELERY_BEAT_SCHEDULE, one beat at a time in the whole world.

Two beats would double every tick, so the right to tick is an advisory lock on a connection of its own: it
passes on as soon as its holder dies, because Postgres ends the session with the socket. While waiting, a
beat does nothing; a holder looks before each round whether its session still lives, and gives up ticking
the moment it does not. No state is kept: what is due is counted from when this beat took over.
"""

from __future__ import annotations

import contextlib
import threading
import time
from datetime import datetime
from typing import Any

import psycopg
import redis
import structlog
from celery.schedules import crontab, maybe_schedule
from django.core.management.base import BaseCommand
from kombu.exceptions import OperationalError

from dashboard import health
from dashboard.management.asking import direct_parameters
from dashboard.standing_in import StandIn

LOCK = 7_420_002
ROUND = 1.0
log = structlog.get_logger(__name__)


class Command(BaseCommand):
    help = "Send the periodic tasks; a second beat waits until the first is gone."

    def handle(self, *args: Any, **options: Any) -> None:
        from dashboard.celery import app  # heavy, and `help` does not need it

        rounds = threading.Event()
        with contextlib.suppress(KeyboardInterrupt):
            while not rounds.is_set():
                beat(app, rounds)


def beat(app: Any, rounds: threading.Event) -> None:
    """Ticks as long as it has the lock; a database that is away is tried again a round later."""
    said = "beat cannot reach the database"
    try:
        with lock_connection() as held:
            said = "beat lost its lock"
            with StandIn():
                tick_while_held(app, held, rounds)
    except psycopg.OperationalError as error:
        log.warning(said, why=str(error).strip())
        rounds.wait(ROUND)


def lock_connection() -> psycopg.Connection[Any]:
    """A direct connection that has the lock; comes back when it is ours."""
    held = psycopg.connect(
        **direct_parameters(), autocommit=True, connect_timeout=5, application_name="sickbay-beat"
    )
    try:
        # A holder whose machine vanished must not keep the lock for hours.
        held.execute("SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5")
        held.execute("SELECT pg_advisory_lock(%s)", [LOCK])
    except BaseException:
        held.close()
        raise
    return held


def tick_while_held(app: Any, held: psycopg.Connection[Any], rounds: threading.Event) -> None:
    log.info("beat ticks")
    schedules = {name: maybe_schedule(e["schedule"], app=app) for name, e in app.conf.beat_schedule.items()}
    last = {name: first_last_run(schedule) for name, schedule in schedules.items()}
    while not rounds.is_set():
        held.execute("SELECT 1")
        try:
            health.write_pulse("beat", time.time())
            for name, schedule in schedules.items():
                if schedule.is_due(last[name]).is_due:
                    entry = app.conf.beat_schedule[name]
                    app.send_task(entry["task"], entry.get("args", ()), **entry.get("options", {}))
                    last[name] = schedule.now()
        except (redis.RedisError, OperationalError) as error:
            log.warning("beat cannot reach the broker", why=str(error))
        rounds.wait(ROUND)


def first_last_run(schedule: Any) -> datetime:
    """What runs every so often runs at once when a beat takes over; what runs at an hour waits for it."""
    now: datetime = schedule.now()
    return now if isinstance(schedule, crontab) else now - schedule.run_every
