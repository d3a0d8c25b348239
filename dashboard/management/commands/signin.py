"""`manage.py signin [EMAIL]` prints a one-time link: the only administrator's, or a lost password's."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from agents.models import User
from agents.services import sign_in_links
from dashboard.management.asking import AskingCommand
from dashboard.management.commands.prepare import link_of


class Command(AskingCommand):
    help = "Print a link that lets one person in once and choose a password."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "email", nargs="?", help="whose; without it: the administrator's, if there is one alone"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["email"]:
            user = User.objects.filter(email=options["email"].lower(), is_active=True).first()
            if user is None:
                raise CommandError(f"Nobody signs in as {options['email']}.")
        else:
            user = sign_in_links.first_administrator() or sign_in_links.only_administrator()
            if user is None:
                raise CommandError("There are several administrators. Give one's address: signin EMAIL")
        self.stdout.write(link_of(sign_in_links.issue(user=user, now=timezone.now())))
