"""`manage.py prepare`: migrations, the project `main`, the first administrator's link; `up` runs it.

May run many times, and on several machines at once: an advisory lock puts them in a row. With `--json` it
answers with one line: {"link", "token"}, each empty when there is nothing to say.
"""

from __future__ import annotations

import argparse
import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from agents.models import Project, Scope
from agents.services import sign_in_links, tokens
from dashboard.embedded.unprivileged import private_file
from dashboard.management.asking import AskingCommand

LOCK = 7_420_001


class Command(AskingCommand):
    help = "Bring the database up to date and make what everything needs; `up` does this itself."
    requires_system_checks = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--demo", action="store_true", help="also answer with a token for the examples")
        parser.add_argument("--json", action="store_true", help="answer with JSON, as `up` reads it")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
            try:
                call_command("migrate", interactive=False, verbosity=0)
                answer = prepare(now, demo=options["demo"])
                cursor.execute("SELECT agents_entry_days(%s, %s)", days_around(now))
            finally:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
        self.stdout.write(json.dumps(answer) if options["json"] else words(answer))


def prepare(now: datetime, *, demo: bool) -> dict[str, str]:
    project, _ = Project.objects.get_or_create(name="main")
    first = sign_in_links.first_administrator()
    link = link_of(sign_in_links.issue(user=first, now=now)) if first else ""
    return {"link": link, "token": demo_token(project, now) if demo else ""}


def words(answer: dict[str, str]) -> str:
    said = ["The database is prepared."]
    if answer["link"]:
        said.append(f"Become its first administrator, once, within a day: {answer['link']}")
    if answer["token"]:
        said.append(f"The examples' token: {answer['token']}")
    return "\n".join(said)


def link_of(secret: str) -> str:
    return f"{settings.SITE_URL}/welcome/{secret}/"


def demo_token(project: Project, now: datetime) -> str:
    """The examples keep one token over all starts, in a file of the data directory."""
    path: Path = settings.DATA_DIR / "demo.token"
    if path.exists() and tokens.find(path.read_text(), now):
        return path.read_text()
    made = tokens.make(project=project, scope=Scope.AGENT, label="demo", by="the command line", now=now)
    private_file(path, made.text or "")
    return path.read_text()


def days_around(now: datetime) -> list[date]:
    return [(now - timedelta(days=1)).date(), (now + timedelta(days=7)).date()]
