"""A server that moves money: it counts what it was asked to do, and can be held or cut at any order."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Hook = Callable[[], None]


class Counting:
    """Use it as a context manager. `before` and `after` hold what happens, once, at an order: before it is
    counted, and between counting and answering."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()
        self.before: dict[str, Hook] = {}
        self.after: dict[str, Hook] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _door(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _door(counting: Counting) -> type[BaseHTTPRequestHandler]:
    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            order = self.path.rpartition("/")[2]
            counting.before.pop(order, _nothing)()
            counting.counted[order] += 1
            counting.after.pop(order, _nothing)()
            body = json.dumps({"order": order, "time": counting.counted[order]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Silent."""

    return Door


def _nothing() -> None:
    """Nothing happens at this order."""
