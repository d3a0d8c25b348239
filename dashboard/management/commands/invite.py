"""`manage.py invite EMAIL --role ROLE [--project NAME]` prints the link that lets a person in once."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.core.validators import validate_email
from django.utils import timezone

from agents.models import Role
from agents.services import invitations
from dashboard.management.asking import AskingCommand, project_named, typist
from dashboard.management.commands.prepare import link_of


class Command(AskingCommand):
    help = "Give a person a role in a project; whoever does not sign in yet gets a one-time link."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("email", type=str.lower)
        parser.add_argument(
            "--role", choices=Role.values, required=True, help="each may do what the ones before it may"
        )
        parser.add_argument("--project", default="main", help="the project it is for (main)")

    def handle(self, *args: Any, **options: Any) -> None:
        email, role, project = options["email"], Role(options["role"]), project_named(options["project"])
        try:
            validate_email(email)
            done = invitations.invite(
                email=email, role=role, project=project, by=typist(), now=timezone.now()
            )
        except ValidationError as error:
            raise CommandError(f"{email!r:.80} is no e-mail address.") from error
        except invitations.NotInvited as error:
            raise CommandError(str(error)) from error
        if done.secret is None:
            self.stdout.write(f"{email} signs in already, and is {role} in {project.name} now.")
        else:
            self.stderr.write(
                f"{email} is {role} in {project.name}. Give them this link: it works once, for a day."
            )
            self.stdout.write(link_of(done.secret))
