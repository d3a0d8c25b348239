"""The outbox: the row is the queue, Celery is the alarm clock.

A row is written in the transaction of what it tells about. `wake` rings after the commit; when the broker
is down nothing is lost, because a sweeper looks for rows that are due every five seconds.
"""

from __future__ import annotations

import datetime as dt
import functools
import logging

import redis
from celery import Celery
from django.conf import settings
from django.db import transaction
from kombu.exceptions import KombuError

from agents.failpoint import failpoint
from agents.models import AlertTarget, Incident, Outbox

SEND = "agents.tasks.send_alerts"
LIMIT = 0.25
log = logging.getLogger("sickbay.alerts")


def put(
    *,
    target: AlertTarget,
    about: str,
    key: str,
    now: dt.datetime,
    incident: Incident | None = None,
    due: dt.datetime | None = None,
    why: str = "",
    then: list[int] | None = None,
) -> Outbox | None:
    """One message for one target; None when the same one was put before."""
    row, made = Outbox.objects.get_or_create(
        key=key,
        defaults={
            "target": target, "incident": incident, "about": about, "due_at": due or now, "created_at": now,
            "why": why, "then": then or [],
        },
    )  # fmt: skip
    if not made:
        return None
    transaction.on_commit(functools.partial(wake), robust=True)
    return row


def wake() -> None:
    """Ring for the worker; it asks the rows what to do."""
    failpoint("alerts:written")
    try:
        _bell().send_task(SEND, expires=30, retry=False, ignore_result=True)
    except (KombuError, OSError, redis.RedisError) as error:
        log.warning("the broker was not reached, the sweeper will find the alert: %s", error)


@functools.cache
def _bell() -> Celery:
    """The publisher's own application: a broker that hangs holds a request up for half a second at most."""
    app = Celery("sickbay", set_as_current=False)
    app.config_from_object("django.conf:settings", namespace="CELERY")
    limits = {"socket_timeout": LIMIT, "socket_connect_timeout": LIMIT, "max_retries": 0}
    app.conf.broker_transport_options = {**settings.CELERY_BROKER_TRANSPORT_OPTIONS, **limits}
    return app
