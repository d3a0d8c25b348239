"""Commands that ask the database: when nothing answers they say at once what to start."""

from __future__ import annotations

import getpass
import os
import socket
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from agents.models import Project

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


def project_named(name: str) -> Project:
    project = Project.objects.filter(name=name).first()
    if project is None:
        names = ", ".join(Project.objects.order_by("name").values_list("name", flat=True)) or "none"
        raise CommandError(f"There is no project {name!r:.80}. There is: {names}.")
    return project


def typist() -> str:
    """Who types: their name on this machine, as the log keeps it."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        name = f"uid {os.getuid()}"
    return f"{name}@{socket.gethostname()}"


def direct_parameters() -> dict[str, Any]:
    """What a connection beside Django's pool is made with."""
    params = connection.get_connection_params()
    return {
        name: value for name, value in params.items() if name not in ("pool", "cursor_factory", "context")
    }
