"""The worker's application: `celery -A dashboard worker`. Tasks only wake whoever looks at the rows."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
app = Celery("sickbay")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
