"""A server that speaks the agents' protocol over real HTTP and WebSocket, small enough to be read.

It keeps what it was told, numbers epochs, knows repeats and conflicts, and waits to be asked wrongly:
`peer.answers` may hold functions that answer the next requests in its place.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, TypeVar
from urllib.parse import parse_qs, urlsplit

import zstandard

from sdk.tests.depot import Depot

TOKEN = "sb_test_token"
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
T = TypeVar("T")


class Peer:
    """Use it as a context manager; `url` is its address, also while it is down."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.registering = threading.Event()  # cleared, a register is done but not answered
        self.registering.set()
        self.lines: dict[tuple[str, int], bytes] = {}
        self.order: list[tuple[str, int]] = []
        self.headers: list[dict[str, Any]] = []
        self.registers: list[dict[str, Any]] = []
        self.receipts: list[dict[str, Any]] = []
        self.beats: list[dict[str, Any]] = []
        self.requests: list[str] = []
        self.tokens: list[str | None] = []
        self.commands: list[dict[str, Any]] = []
        self.sockets: set[socket.socket] = set()
        self.answers: list[Callable[[Door], bool]] = []
        self.extra: dict[str, Any] = {}
        self.pause: dict[str, Any] | None = None
        self.holds: list[dict[str, Any]] = []
        self.refuse_line: bytes | None = None
        self.epoch = 0
        self.batch_epochs: list[int] = []
        self.sockets_allowed = True
        self.beat_s, self.reconnect_max_s = 20.0, 0.1
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self.port = 0
        self.depot = Depot()

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def up(self) -> None:
        self._server = Server(("127.0.0.1", self.port), Door)
        self._server.peer = self  # type: ignore[attr-defined]
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def down(self) -> None:
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for each in list(self._server.clients):  # type: ignore[attr-defined]
            _shut(each)
        self.sockets.clear()
        self._server = None

    def until(self, condition: Callable[[], T], timeout: float = 10.0) -> T:
        """The first true value of `condition`, looked at whenever something arrived."""
        deadline = time.monotonic() + timeout
        with self.changed:
            while not (value := condition()):
                left = deadline - time.monotonic()
                assert left > 0, f"waited {timeout} s; {self.requests[-5:]}"
                self.changed.wait(min(left, 0.05))
            return value

    def order_command(self, kind: str, **payload: Any) -> dict[str, Any]:
        """A command is a row first; then every open socket is told to look."""
        version = len(self.commands) + 1
        command = {"id": f"00000000-0000-4000-8000-{version:012d}", "version": version, "kind": kind}
        command |= {"ordered_at": time.time(), "payload": payload, "state": "ordered"}
        with self.changed:
            self.commands.append(command)
            self.changed.notify_all()
        self.say({"look": version})
        return command

    def say(self, message: dict[str, Any] | bytes) -> None:
        for each in list(self.sockets):
            each.sendall(_frame(message if isinstance(message, bytes) else json.dumps(message).encode()))

    def plant(self, status: int, body: Any, headers: dict[str, str] | None = None, times: int = 1) -> None:
        """Answer the next POSTs so, instead of the truth."""

        def answer(door: Door) -> bool:
            if door.command == "POST":
                door.answer(status, body, headers)
            return door.command == "POST"

        self.answers += [answer] * times

    def seqs(self, run: str) -> list[int]:
        return [seq for each, seq in self.order if each == run]


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, *args: Any) -> None:
        self.clients: set[socket.socket] = set()
        super().__init__(*args)

    def get_request(self) -> tuple[socket.socket, Any]:
        client, address = super().get_request()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.clients.add(client)
        return client, address

    def shutdown_request(self, request: Any) -> None:
        self.clients.discard(request)
        super().shutdown_request(request)

    def handle_error(self, *_: object) -> None:
        """A connection that was cut is no error here."""


class Door(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    @property
    def peer(self) -> Peer:
        peer: Peer = self.server.peer  # type: ignore[attr-defined]
        return peer

    def log_message(self, *_: object) -> None:
        """Silent."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self._noted():
            return
        if self.path.endswith("/register/"):
            self._register(json.loads(body))
        elif self.path.endswith("/events/"):
            if self.headers.get("Content-Encoding") == "zstd":
                body = zstandard.ZstdDecompressor().decompress(body)
            self._events(body)
        elif "/checkpoints/" in self.path or "/rollbacks/" in self.path or "/edits/" in self.path:
            self.peer.depot.post(self, body)
        else:
            self._receipt(json.loads(body))

    def do_GET(self) -> None:
        if self._noted():
            return
        if "/agents/socket" in self.path:
            self._socket()
        elif "/checkpoints/" in self.path:
            self.peer.depot.get(self)
        else:
            self._commands()

    def _noted(self) -> bool:
        """Whether the request was answered already: by a planted answer, or with 401."""
        peer = self.peer
        with peer.changed:
            peer.requests.append(f"{self.command} {self.path}")
            peer.tokens.append(self.headers.get("Authorization"))
            planted = peer.answers[0] if peer.answers else None
            peer.changed.notify_all()
        if planted is not None and planted(self):
            peer.answers.remove(planted)
            return True
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.answer(401, {"error": "token", "message": "no such token", "what_to_do": "make one"})
            return True
        return False

    def answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _register(self, body: dict[str, Any]) -> None:
        peer = self.peer
        with peer.changed:
            peer.registers.append(body)
            refused = peer.pause is not None and body["wants"] != "join"
            peer.epoch += not refused
            epoch = None if refused else peer.epoch
            peer.changed.notify_all()
        answer = {"epoch": epoch, "pause": peer.pause, "account": _account(), "guidance": None}
        answer |= {"commands_version": len(peer.commands), "beat_s": peer.beat_s, "holds": peer.holds}
        answer |= {"reconnect_max_s": peer.reconnect_max_s, "now": time.time()}
        peer.registering.wait(10)
        self.answer(200, answer)

    def _events(self, body: bytes) -> None:
        peer = self.peer
        head, *lines = body.split(b"\n")[:-1]
        header = json.loads(head)
        assert header["n"] == len(lines), "n must be the number of lines"
        if peer.refuse_line and any(peer.refuse_line in line for line in lines):
            self.answer(422, {"error": "body", "message": "this will not do", "what_to_do": "split"})
            return
        conflicts, duplicates = [], 0
        with peer.changed:
            peer.headers.append(header)
            for seq, line in enumerate(lines, header["first_seq"]):
                kept = peer.lines.setdefault((header["run"], seq), line)
                if kept is line:
                    peer.order.append((header["run"], seq))
                elif kept == line:
                    duplicates += 1
                else:
                    conflicts.append(seq)
            peer.changed.notify_all()
        answer = {"ack": header["first_seq"] + len(lines) - 1, "stored": len(lines) - duplicates}
        answer |= {"duplicates": duplicates, "quarantined": [], "conflicts": conflicts}
        answer |= {"fenced": header["epoch"] < peer.epoch, "wait_ms": 0, "account": _account()}
        answer |= {"commands_version": len(peer.commands), "pause": peer.pause, **peer.extra}
        self.answer(409 if conflicts else 200, answer)

    def _commands(self) -> None:
        peer = self.peer
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        after, fenced = int(query["after"]), int(query["epoch"]) < peer.epoch
        wait = time.monotonic() + float(query.get("wait", 0))
        with peer.changed:
            while not (new := _waiting(peer.commands, after)) and (left := wait - time.monotonic()) > 0:
                peer.changed.wait(left)
        if "wait" in query and not new:
            self.answer(204, b"")
            return
        self.answer(200, {"commands": new, "commands_version": len(peer.commands), "fenced": fenced})

    def _receipt(self, body: dict[str, Any]) -> None:
        peer = self.peer
        id = self.path.rstrip("/").rpartition("/")[2]
        with peer.changed:
            peer.receipts.append({"id": id, **body})
            command = next(c for c in peer.commands if c["id"] == id)
            taker = command.setdefault("taker", body["process"])
            peer.changed.notify_all()
        if body["epoch"] < peer.epoch or taker != body["process"]:
            error = "fenced" if body["epoch"] < peer.epoch else "taken"
            self.answer(409, {"error": error, "message": "another acts", "what_to_do": "nothing"})
            return
        command["state"] = body["state"]
        self.answer(200, {"state": body["state"]})

    def _socket(self) -> None:
        peer = self.peer
        if not peer.sockets_allowed:
            self.answer(400, b"<html>no upgrades here</html>")
            return
        accept = hashlib.sha1((self.headers["Sec-WebSocket-Key"] + GUID).encode()).digest()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(accept).decode())
        self.end_headers()
        self.close_connection = True
        hello = {"beat_s": peer.beat_s, "reconnect_max_s": peer.reconnect_max_s}
        self.connection.sendall(_frame(json.dumps({"hello": {**hello, "commands_version": 0}}).encode()))
        with peer.changed:
            peer.sockets.add(self.connection)
            peer.changed.notify_all()
        try:
            while (frame := self._frame()) is not None:
                with peer.changed:
                    peer.beats.append(json.loads(frame))
                    peer.changed.notify_all()
        finally:
            peer.sockets.discard(self.connection)

    def _frame(self) -> bytes | None:
        """The next text frame; pings are answered, anything else ends the connection."""
        while True:
            head = self.rfile.read(2)
            if len(head) < 2:
                return None
            size = head[1] & 127
            if size == 126:
                size = struct.unpack(">H", self.rfile.read(2))[0]
            mask, data = self.rfile.read(4), self.rfile.read(size)
            data = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
            if head[0] & 15 == 9:
                self.connection.sendall(_frame(data, 10))
            elif head[0] & 15 == 1:
                return data
            else:
                return None


def _waiting(commands: list[dict[str, Any]], after: int) -> list[dict[str, Any]]:
    states = ("ordered", "taken")
    return [c for c in commands if c["version"] > after and c["state"] in states]


def _account() -> dict[str, Any]:
    return {"number": 1, "added": [], "others": [], "consecutive": 0, "hourly": 0}


def _frame(data: bytes, kind: int = 1) -> bytes:
    size = bytes([len(data)]) if len(data) < 126 else b"\x7e" + struct.pack(">H", len(data))
    return bytes([128 | kind]) + size + data


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
