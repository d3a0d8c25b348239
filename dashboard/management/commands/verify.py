"""`manage.py verify`: look for damage in checkpoints, and say what it hurts."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from agents.models import Agent, Project
from checkpoints.services import verifying
from dashboard.management.asking import AskingCommand

SHOWN = 50


class Command(AskingCommand):
    help = "Verify every node and checkpoint; it fails when anything is damaged."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--project", help="only this project (all)")
        parser.add_argument("--agent", help="only this agent's checkpoints (all)")

    def handle(self, *args: Any, **options: Any) -> None:
        projects = Project.objects.order_by("name")
        if options["project"]:
            projects = projects.filter(name=options["project"])
        if not projects:
            raise CommandError(f"There is no project {options['project']!r}.")
        damaged = [self._verified(project, options["agent"]) for project in projects]
        if any(damaged):
            raise CommandError("there is damage: restore these rows from a backup")

    def _verified(self, project: Project, name: str | None) -> bool:
        agent = Agent.objects.filter(project=project, name=name).first() if name else None
        if name and agent is None:
            raise CommandError(f"There is no agent {name!r} in {project.name}.")
        found = verifying.verify(project, timezone.now(), agent)
        self.stdout.write(f"{project.name}: {found.nodes:,} nodes, {found.checkpoints:,} checkpoints")
        for node, why in list(found.damaged_nodes.items())[:SHOWN]:
            self.stdout.write(f"  node {node.hex()}: {why}")
        for checkpoint, why in list(found.damaged.items())[:SHOWN]:
            self.stdout.write(f"  checkpoint {checkpoint} {found.named[checkpoint]}: {why}")
        if found.mended:
            self.stdout.write(f"  {found.mended:,} were damaged and are whole again: unproven until judged")
        if found.is_whole:
            self.stdout.write("  all of it is whole")
        elif agent is not None and not found.damaged:
            self.stdout.write(f"  the checkpoints of {agent.name} are whole")
        return bool(found.damaged) if agent is not None else not found.is_whole
