"""The pulse: beat sends it, a worker takes it, /readyz reads it. It shows that the whole path works."""

from __future__ import annotations

import time

from celery import shared_task

from dashboard import health


@shared_task(ignore_result=True)  # type: ignore[untyped-decorator]
def pulse() -> None:
    health.write_pulse("worker", time.time())
