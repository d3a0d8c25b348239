"""Signs of life. The pulse: beat sends it, a worker takes it, /readyz reads it. The ping leaves this machine.

Whoever waits for the ping (a monitor elsewhere) is the one who notices when everything here is gone. It is
sent by the worker, by way of beat and broker, and only while the database answers and no alert is late: so
that it stops when alerts would not arrive.
"""

from __future__ import annotations

import time

import structlog
from celery import shared_task
from django.conf import settings
from django.utils import timezone

from agents.queries import metrics
from agents.services import webhooks
from dashboard import health

log = structlog.get_logger("sickbay.alive")


@shared_task(ignore_result=True)  # type: ignore[untyped-decorator]
def pulse() -> None:
    health.write_pulse("worker", time.time())


@shared_task(ignore_result=True)  # type: ignore[untyped-decorator]
def say_alive() -> None:
    if settings.ALIVE_URL:
        said = ping_if_well(settings.ALIVE_URL)
        if said:
            log.warning("the outside monitor was not pinged", why=said)


def ping_if_well(url: str) -> str:
    """Ping it; or why not."""
    missing = health.serving_needs()
    if missing:
        return f"this server lacks {', '.join(missing)}"
    late = metrics.any_alert_late_since(timezone.now())
    if late is not None:
        return f"alerts are late since {late:%H:%M:%S}"
    try:
        webhooks.ping(url)
    except webhooks.NotSent as error:
        return str(error)
    return ""
