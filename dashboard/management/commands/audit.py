"""`manage.py audit verify`: walk the audit log's chain; it fails with the row that does not fit."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from agents.services import audit
from dashboard.management.asking import AskingCommand


class Command(AskingCommand):
    help = "Verify the hash chain of the audit log."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("verb", choices=["verify"])

    def handle(self, *args: Any, **options: Any) -> None:
        found = audit.verify()
        if found.broken is not None:
            raise CommandError(f"row {found.broken} does not fit the one before it: the log was edited there")
        self.stdout.write(f"{found.rows} rows, the chain is whole")
