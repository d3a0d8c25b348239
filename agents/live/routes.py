"""The agents' addresses that go to plain ASGI functions, before Django: few, and each guards itself.

A route here bypasses the URL configuration and every middleware: it checks the bearer, sets its headers,
and stands in the permission matrix (tests/security).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from agents.live.poll import commands_poll
from agents.live.socket import agent_socket

Scope = MutableMapping[str, Any]
AsgiApp = Callable[[Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]


@dataclass(frozen=True)
class Route:
    """`protocol` is "http" or "websocket"; `path` must match the whole path, its groups go to the scope's
    `url_route`; `when` may leave a request to Django, such as a POST."""

    protocol: str
    path: re.Pattern[str]
    app: AsgiApp
    when: Callable[[Scope], bool] = lambda scope: True


agent_routes: list[Route] = [
    Route("websocket", re.compile(r"/api/v1/agents/socket/?"), agent_socket),
    Route(
        "http",
        re.compile(r"/api/v1/agents/(?P<agent>[^/]+)/commands/"),
        commands_poll,
        when=lambda scope: scope["method"] == "GET",
    ),
]


def find(scope: Scope, routes: list[Route] = agent_routes) -> AsgiApp | None:
    """Who takes this request before Django, if anybody; the path's groups are put in the scope."""
    for route in routes:
        if route.protocol == scope["type"] and (match := route.path.fullmatch(scope["path"])):
            scope["url_route"] = {"args": (), "kwargs": match.groupdict()}
            if route.when(scope):
                return route.app
    return None
