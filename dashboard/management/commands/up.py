"""`manage.py up`, as `manage.py help` lists it; manage.py runs it without loading Django."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from django.core.management.base import BaseCommand

from dashboard.embedded.up import add_options, start


class Command(BaseCommand):
    help = "Start everything on this machine: Postgres, Valkey, web server, worker and beat."
    requires_system_checks = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add_options(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        sys.exit(start(argparse.Namespace(**options)))
