"""Who takes a request: agents' sockets and polls go to plain functions, browsers' sockets to consumers
behind origin and session, everything else to Django.

Django runs whole in one hop to a thread that stays: middlewares, view, and giving the connection back. Its
own handler takes three hops, two tasks and a new thread for each request: more than most views cost.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import os
from typing import IO, Any

import django
from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
django.setup(set_prefix=False)

from agents.live import routes  # noqa: E402  (needs Django set up)
from dashboard.live import browser_routes  # noqa: E402
from dashboard.serving.origins import OwnOrigin  # noqa: E402

THREADS = 16  # as many as there are connections in the pool


class OneHop(ASGIHandler):
    """Answers are made whole before they are sent: the only streams are static files."""

    def __init__(self) -> None:
        super().__init__()
        self._threads = concurrent.futures.ThreadPoolExecutor(THREADS, thread_name_prefix="pages")

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        own, loop = contextvars.copy_context(), asyncio.get_running_loop()
        for message in await loop.run_in_executor(self._threads, own.run, self._answered, scope, body):
            await send(message)

    def _answered(self, scope: Any, body: IO[bytes]) -> list[dict[str, Any]]:
        """The messages that answer this request, its resources closed."""
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=self.__class__, scope=scope)
        with body:
            request, refusal = self.create_request(scope, body)
            response: HttpResponseBase | None = self.get_response(request) if request else refusal
            assert response is not None
            try:
                content = b"".join(response)
            finally:
                response.close()
        start = {"type": "http.response.start", "status": response.status_code, "headers": _headers(response)}
        return [start, {"type": "http.response.body", "body": content}]


def _headers(response: HttpResponseBase) -> list[tuple[bytes, bytes]]:
    cookies = [("Set-Cookie", cookie.output(header="").strip()) for cookie in response.cookies.values()]
    return [(name.encode("ascii"), value.encode("latin-1")) for name, value in [*response.items(), *cookies]]


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
