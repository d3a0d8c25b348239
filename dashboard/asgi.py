"""Who takes a request: agents' sockets and polls go to plain functions, browsers' sockets to consumers
behind origin and session, everything else to Django.

Django's whole middleware chain runs in one hop to a thread, instead of one for each middleware.
"""

from __future__ import annotations

import os
from typing import Any

import django
from asgiref.sync import sync_to_async
from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from django.core.handlers.asgi import ASGIHandler

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
django.setup(set_prefix=False)

from agents.live import routes  # noqa: E402  (needs Django set up)
from dashboard.live import browser_routes  # noqa: E402
from dashboard.serving.origins import OwnOrigin  # noqa: E402


class OneHop(ASGIHandler):
    _middleware_chain: Any

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)
        self._middleware_chain = sync_to_async(self._middleware_chain, thread_sensitive=True)


pages = OneHop()
browsers = OwnOrigin(AuthMiddlewareStack(URLRouter(browser_routes)))


async def application(scope: Any, receive: Any, send: Any) -> None:
    taken_before = routes.find(scope)
    if taken_before is not None:
        await taken_before(scope, receive, send)
    elif scope["type"] == "http":
        await pages(scope, receive, send)
    elif scope["type"] == "websocket" and any(r.pattern.match(scope["path"][1:]) for r in browser_routes):
        await browsers(scope, receive, send)
    else:
        await send({"type": f"{scope['type']}.close", "code": 4404})
