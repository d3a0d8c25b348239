"""`manage.py project NAME` makes a project, or says that it exists."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from agents.services import projects
from dashboard.management.asking import AskingCommand, typist


class Command(AskingCommand):
    help = "Make a project; `manage.py token --project NAME` then prints tokens of it."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", help="a-z, 0-9 and -, at most 63 characters")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"]
        try:
            made = projects.make(name=name, by=typist(), now=timezone.now())
        except projects.BadName as error:
            raise CommandError(f"{name!r:.80} cannot be a name. {error}") from error
        self.stdout.write(f"Project {name} is made." if made else f"Project {name} exists already.")
