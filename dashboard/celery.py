"""The worker's application: `celery -A dashboard worker`. Tasks only wake whoever looks at the rows.

A worker that has just come up looks by itself: what waited for it need not wait for the next tick too.
"""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import worker_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
app = Celery("sickbay")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_ready.connect  # type: ignore[untyped-decorator]
def sweep(sender: Any, **_: Any) -> None:
    for task in ("dashboard.tasks.pulse", "agents.tasks.send_alerts", "agents.tasks.look"):
        app.send_task(task, expires=30)
