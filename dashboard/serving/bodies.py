"""Guards before the first view: Daphne keeps a whole body before any of our code runs.

A request is judged when its headers are complete: too long for its path → 413, a body for the API without
a well-formed bearer → 401. Chunked bodies are counted as they come. A refusal is written whole, with
`Connection: close`, what still arrives is dropped for two seconds (so that the answer is read and not lost
in a reset), then the connection is cut. `Expect: 100-continue` is dropped first: nobody is invited to send.

Time is limited by deadlines that no trickle of bytes moves: idle, headers, body. `_command` and `_path` are
private to Twisted; tests/security/test_bodies.py sends the bodies that would show a change.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from io import BytesIO
from typing import Any, ClassVar

import daphne.server  # first: it installs the reactor that everything below must share
from autobahn.websocket.types import ConnectionDeny
from daphne.http_protocol import HTTPFactory, WebRequest
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.web import http

KB, MB = 1024, 1024 * 1024
LIMITS = (("/api/v1/events/", 8 * MB), ("/api/", 256 * KB), ("/", 1 * MB))
UPLOADS = re.compile(r"/api/v1/agents/[^/]+/checkpoints/(?:(?:missing|nodes|read)/)?")
BATCHES = re.compile(rf"/api/v1/events/|{UPLOADS.pattern}")
BEARER = re.compile(rb"[Bb]earer sb_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}")
LINGER = 2.0


@dataclass
class Deadlines:
    """Seconds: between requests, for the headers, for the body; and how many connections at most."""

    idle: float = 75.0
    headers: float = 15.0
    body: float = 60.0
    connections: int = 8_000


@dataclass(frozen=True)
class Refusal:
    status: int
    reason: str
    error: str
    message: str
    what_to_do: str

    def written(self) -> bytes:
        body = json.dumps(
            {"error": self.error, "message": self.message, "what_to_do": self.what_to_do}
        ).encode()
        head = (
            f"HTTP/1.1 {self.status} {self.reason}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + body


def too_long(path: str, limit: int) -> Refusal:
    what_to_do = "Send smaller batches." if BATCHES.match(path) else "Send a shorter body."
    message = f"The body is longer than the {limit} bytes that this address takes."
    return Refusal(413, "Content Too Large", "too_long", message, what_to_do)


NO_BEARER = Refusal(
    401,
    "Unauthorized",
    "no_token",
    "There is no valid token in this request: it is missing or not of the form sb_….",
    "Send the header Authorization: Bearer sb_…; `manage.py token` prints one.",
)


def limit_for(path: str) -> int:
    if UPLOADS.fullmatch(path):
        return 8 * MB
    return next(limit for prefix, limit in LIMITS if path.startswith(prefix) or prefix == "/")


def judge(path: str, length: int | None, authorization: bytes) -> Refusal | None:
    """By what the headers say; `length` is None when the body comes in chunks."""
    limit = limit_for(path)
    if length is not None and length > limit:
        return too_long(path, limit)
    if length != 0 and path.startswith("/api/") and not BEARER.fullmatch(authorization.strip()):
        return NO_BEARER
    return None


class GuardedRequest(WebRequest):  # type: ignore[misc]
    refused = False
    received = 0
    limit = 0
    where = ""

    def gotLength(self, length: int | None) -> None:
        self.requestHeaders.removeHeader(b"Expect")
        self.where = path = self.channel._path.split(b"?", 1)[0].decode("latin-1")
        self.limit = limit_for(path)
        refusal = judge(path, length, self.requestHeaders.getRawHeaders(b"Authorization", [b""])[0])
        if refusal:
            self.refuse(refusal)
        else:
            super().gotLength(length)
        if length != 0:
            self.channel.setTimeout(self.channel.factory.deadlines.body)

    def handleContentChunk(self, data: bytes) -> None:
        self.received += len(data)
        if self.refused:
            return
        if self.received > self.limit:
            self.content.close()
            self.refuse(too_long(self.where, self.limit))
        else:
            super().handleContentChunk(data)

    def refuse(self, refusal: Refusal) -> None:
        self.refused = True
        self.content = BytesIO()
        self.channel.persistent = 0
        self.channel.transport.write(refusal.written())
        self.channel.cut_after(LINGER)

    def process(self) -> Any:
        if self.refused:
            return self.channel.loseConnection()
        return super().process()


class GuardedChannel(http.HTTPChannel):
    """One connection, until it is a WebSocket. Bytes move no deadline, requests do."""

    requestFactory = GuardedRequest
    counted: ClassVar[int] = 0
    transport: Any
    factory: Any
    _in_request = False
    _cut: Any = None

    def connectionMade(self) -> None:
        GuardedChannel.counted += 1
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        if not self._in_request and not self._handlingRequest:
            self._in_request = True
            self.setTimeout(self.factory.deadlines.headers)
        LineReceiver.dataReceived(self, data)

    def requestDone(self, request: Any) -> None:
        self._in_request = False
        self._savedTimeOut = self.factory.deadlines.idle
        super().requestDone(request)

    def timeoutConnection(self) -> None:
        self.transport.abortConnection()

    def cut_after(self, seconds: float) -> None:
        self._cut = daphne.server.reactor.callLater(seconds, self.transport.abortConnection)

    def connectionLost(self, reason: Any = connectionDone) -> None:
        GuardedChannel.counted -= 1
        if self._cut is not None and self._cut.active():
            self._cut.cancel()
        super().connectionLost(reason)


class CountedWebSocket(WebSocketProtocol):  # type: ignore[misc]
    """Takes the connection over from its channel, which never hears of its end.

    Daphne answers 403 to every socket that is closed before it was accepted; an agent must be able to tell a
    bad token (401) from a missing right.
    """

    refused_with = 0

    def handle_reply(self, message: dict[str, Any]) -> None:
        self.refused_with = message.get("code") or 0
        super().handle_reply(message)

    def serverReject(self) -> None:
        status = {4401: 401, 4404: 404, 4400: 400}.get(self.refused_with)
        if status is None:
            super().serverReject()
            return
        self.handshake_deferred.errback(ConnectionDeny(code=status, reason="Refused"))
        del self.handshake_deferred
        self.server.protocol_disconnected(self)

    def connectionLost(self, reason: Any) -> None:
        GuardedChannel.counted -= 1
        super().connectionLost(reason)


class GuardedFactory(HTTPFactory):  # type: ignore[misc]
    protocol = GuardedChannel
    deadlines = Deadlines()

    def __init__(self, server: Any) -> None:
        super().__init__(server)
        self.timeOut = self.deadlines.headers

    def buildProtocol(self, addr: Any) -> Any:
        """None closes the connection at once: beyond the limit nobody is kept waiting."""
        if GuardedChannel.counted >= self.deadlines.connections:
            return None
        return http.HTTPFactory.buildProtocol(self, addr)
