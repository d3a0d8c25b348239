"""Commands that ask the database: when nothing answers they say at once what to start."""

from __future__ import annotations

import os
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

NOTHING_RUNS = (
    "Nothing runs on {data}: start it (manage.py up), or name another with --data DIR or SICKBAY_DATA."
)
NO_ANSWER = "The database that SICKBAY_DATABASE_URL names does not answer: start it, or correct the address."


class AskingCommand(BaseCommand):
    def execute(self, *args: Any, **options: Any) -> str | None:
        """Tried without the pool, which would try again for half a minute, and log each time."""
        try:
            psycopg.connect(**direct_parameters(), connect_timeout=5).close()
        except psycopg.OperationalError as error:
            named = os.environ.get("SICKBAY_DATABASE_URL")
            raise CommandError(NO_ANSWER if named else NOTHING_RUNS.format(data=settings.DATA_DIR)) from error
        return super().execute(*args, **options)


def direct_parameters() -> dict[str, Any]:
    """What a connection beside Django's pool is made with."""
    params = connection.get_connection_params()
    return {
        name: value for name, value in params.items() if name not in ("pool", "cursor_factory", "context")
    }
