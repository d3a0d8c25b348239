"""`manage.py token --scope agent|operator [--project NAME]` prints one token and nothing else."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from agents.models import Project, Scope
from agents.services import tokens
from dashboard.management.asking import AskingCommand


class Command(AskingCommand):
    help = "Print a new token for a program; it cannot be shown again."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--scope", choices=Scope.values, required=True)
        parser.add_argument("--project", default="main", help="the project it belongs to (main)")
        parser.add_argument("--label", default="made on the command line")

    def handle(self, *args: Any, **options: Any) -> None:
        project = Project.objects.filter(name=options["project"]).first()
        if project is None:
            names = ", ".join(Project.objects.order_by("name").values_list("name", flat=True)) or "none"
            raise CommandError(f"There is no project {options['project']!r}. There is: {names}.")
        made = tokens.make(
            project=project,
            scope=options["scope"],
            label=options["label"],
            by="the command line",
            now=timezone.now(),
        )
        self.stdout.write(made.text or "")
