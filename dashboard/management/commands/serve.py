"""`manage.py serve`: the web server alone; start as many as you like, each serves everything."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand

from dashboard.serving.bodies import Deadlines


class Command(BaseCommand):
    help = "Serve pages, the API and the sockets (Daphne, with guards against hostile bodies)."
    requires_system_checks = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        usual = Deadlines()
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--connections", type=int, default=usual.connections, help="at most at one time")
        parser.add_argument(
            "--headers-seconds", type=float, default=usual.headers, help="to send the headers"
        )
        parser.add_argument("--body-seconds", type=float, default=usual.body, help="to send the body")

    def handle(self, *args: Any, **options: Any) -> None:
        from dashboard.serving.server import serve  # installs Twisted's reactor

        deadlines = Deadlines(
            headers=options["headers_seconds"],
            body=options["body_seconds"],
            connections=options["connections"],
        )
        serve(options["host"], options["port"], deadlines)
