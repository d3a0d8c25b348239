"""Daphne as we start it: with the guards, a deep backlog, and its long-lived objects out of the collector.

`daphne.server.Server.run` looks up the factories by name in its module, which is where ours are put.
"""

from __future__ import annotations

import contextlib
import gc
import resource
from typing import Any

import autobahn.websocket.protocol
import daphne.server
from daphne.cli import CommandLineInterface
from daphne.ws_protocol import WebSocketFactory

from agents.live import presence
from dashboard.serving.bodies import CountedWebSocket, Deadlines, GuardedFactory

BACKLOG = 4096
LONGEST_MESSAGE = 64 * 1024


class CountedFactory(WebSocketFactory):  # type: ignore[misc]
    protocol = CountedWebSocket


class GuardedServer(daphne.server.Server):  # type: ignore[misc]
    connections: dict[Any, dict[str, Any]]

    def run(self) -> None:
        daphne.server.HTTPFactory = GuardedFactory
        daphne.server.WebSocketFactory = CountedFactory
        # Autobahn pretty-prints each socket's options for a debug line nobody reads: a third of a handshake.
        autobahn.websocket.protocol.pformat = repr  # type: ignore[attr-defined,assignment]
        settle_memory()
        daphne.server.reactor.callWhenRunning(presence.start)
        super().run()

    def kill_all_applications(self) -> Any:
        """Daphne expects an application behind each connection; one still sending its body has none."""
        self.connections = {p: d for p, d in self.connections.items() if "application_instance" in d}
        return super().kill_all_applications()


class GuardedInterface(CommandLineInterface):  # type: ignore[misc]
    server_class = GuardedServer


def settle_memory() -> None:
    """What is loaded now stays: without this, full collections make connect storms four times slower."""
    from django.urls import get_resolver

    _ = get_resolver().url_patterns
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 1_000)
    gc.enable()  # manage.py switched it off while loading


def raise_file_limit() -> None:
    with contextlib.suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def serve(host: str, port: int, deadlines: Deadlines) -> None:
    raise_file_limit()
    GuardedFactory.deadlines = deadlines
    interface = host.strip("[]").replace(":", r"\:")
    GuardedInterface().run(
        [
            *("-e", f"tcp:port={port}:interface={interface}:backlog={BACKLOG}"),
            *("-v", "0"),
            *("--websocket_connect_timeout", "20"),
            *("--websocket_timeout", "-1"),
            *("--websocket-max-message-size", str(LONGEST_MESSAGE)),
            *("--websocket-max-frame-size", str(LONGEST_MESSAGE)),
            *("--application-close-timeout", "5"),
            "--no-server-name",
            "dashboard.asgi:application",
        ]
    )
