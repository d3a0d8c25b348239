"""`manage.py token --scope agent|operator [--project NAME]` prints one token and nothing else."""

from __future__ import annotations

import argparse
from datetime import timedelta
from typing import Any

from django.utils import timezone

from agents.models import Scope
from agents.services import tokens
from dashboard.management.asking import AskingCommand, project_named, typist

LONGEST = 3650


def days(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 4 or not 1 <= int(text) <= LONGEST:
        raise argparse.ArgumentTypeError(f"give a number of days, 1 to {LONGEST}")
    return int(text)


class Command(AskingCommand):
    help = "Print a new token for a program; it cannot be shown again."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--scope", choices=Scope.values, required=True)
        parser.add_argument("--project", default="main", help="the project it belongs to (main)")
        parser.add_argument("--label", help="what the log calls it (you, and this machine)")
        parser.add_argument("--lasts", type=days, metavar="DAYS", help="it ends after so many (never)")

    def handle(self, *args: Any, **options: Any) -> None:
        now, lasts = timezone.now(), options["lasts"]
        made = tokens.make(
            project=project_named(options["project"]),
            scope=options["scope"],
            label=(options["label"] or typist())[:100],
            by=typist(),
            now=now,
            expires_at=now + timedelta(days=lasts) if lasts else None,
        )
        self.stdout.write(made.text or "")
