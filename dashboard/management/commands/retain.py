"""`manage.py retain [--project NAME]`: thin checkpoints by their agents' policies, and say what was freed."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from agents.models import Project
from checkpoints.services import retention
from dashboard.management.asking import AskingCommand


class Command(AskingCommand):
    help = "Drop the checkpoints that no policy keeps, and free what nothing needs any more."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--project", help="only this project (all)")

    def handle(self, *args: Any, **options: Any) -> None:
        projects = Project.objects.order_by("name")
        if options["project"]:
            projects = projects.filter(name=options["project"])
            if not projects:
                raise CommandError(f"There is no project {options['project']!r}.")
        for project in projects:
            self.stdout.write(f"{project.name}: {retention.retain(project, timezone.now()).sentence}")
