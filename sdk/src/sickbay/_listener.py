"""The listener: one thread that hears of commands, and beats.

The socket only says "look": the commands themselves are fetched by GET, on hello, on every look, after every
reconnect and once a minute, so that nothing depends on the socket. Our beats on it are the heartbeat. Where
sockets do not get through but requests do, a long poll takes its place for ten minutes, then the socket is
tried again. The websockets library reads in a thread of its own while a socket is open.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode, urlsplit

import orjson

from sickbay._errors import SickbayError
from sickbay._pacing import Pacing

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

HANDSHAKE = 20.0
LOOK_EVERY = 60.0
POLL = 25.0
POLL_FOR = 600.0
BLOCKED_AFTER = 3
FRAME_LIMIT = 64 * 1024
DEAD_AFTER_MS = 30_000
log = logging.getLogger("sickbay")


class Office(Protocol):
    """What the listener needs of the link."""

    def look(self, wait: float = 0.0) -> None: ...
    def query(self) -> dict[str, Any]: ...
    def beat(self) -> dict[str, Any]: ...
    def heard(self, reconnect_max_s: float) -> None: ...


class Listener:
    """Start it once there is something to listen for; stop it and it is gone within its limit."""

    def __init__(self, office: Office, url: str, headers: Callable[[], dict[str, str]]) -> None:
        self._office, self._headers = office, headers
        parts = urlsplit(url)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._secure else 80)
        self._address = f"{'wss' if self._secure else 'ws'}://{parts.netloc}{parts.path}/api/v1/agents/socket"
        self._pacing = Pacing()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._allowed = False
        self._stopped = threading.Event()
        self._socket: ClientConnection | None = None
        self._blocked = 0
        self.beat_s = 20.0
        self.connections = 0
        self.polling_until = 0.0

    def allow(self) -> None:
        """From here on `start` starts it. A register that is answered after `stop` starts nothing."""
        with self._lock:
            self._allowed = True

    def start(self) -> None:
        with self._lock:
            runs = self._thread is not None and self._thread.is_alive() and not self._stopped.is_set()
            if runs or not self._allowed:
                return
            # A fresh event each time: an old thread that has not noticed yet still sees its own.
            self._stopped = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(self._stopped,), name="sickbay-listener", daemon=True
            )
            self._thread.start()

    def stop(self, timeout: float) -> None:
        with self._lock:
            self._allowed = False
            self._stopped.set()
        connection = self._socket
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.socket.shutdown(socket.SHUT_RDWR)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    @property
    def is_connected(self) -> bool:
        return self._socket is not None

    def told(self, beat_s: float, reconnect_max_s: float) -> None:
        """What the server said at register or hello, within reason."""
        self.beat_s = min(300.0, max(1.0, beat_s))
        self._pacing.told(reconnect_max_s)

    def _run(self, stopped: threading.Event) -> None:
        while not stopped.is_set():
            try:
                if time.monotonic() < self.polling_until:
                    self._office.look(POLL)
                    self._pacing.worked()
                    continue
                self._listen(stopped)
            except SickbayError as error:
                log.debug("sickbay: listening failed: %s", error)
            except Exception:
                log.exception("sickbay: a bug of the listener; your agent goes on")
            stopped.wait(self._delay())

    def _delay(self) -> float:
        """Full jitter over what the server's fleet needs, doubling to a minute."""
        self._pacing.failures = max(self._pacing.failures, 2)
        return self._pacing.failed()

    def _listen(self, stopped: threading.Event) -> None:
        """One socket, from its opening to its end."""
        from websockets.exceptions import WebSocketException

        mine = None
        try:
            with self._opened() as connection:
                self._socket = mine = connection
                self.connections += 1
                self._attend(connection, stopped)
        except (OSError, WebSocketException, TimeoutError) as error:
            log.debug("sickbay: the socket ended: %s", error)
            if mine is None and not stopped.is_set():
                self._count_refusal()
        finally:
            if self._socket is mine:  # not the next thread's
                self._socket = None

    def _opened(self) -> ClientConnection:
        from websockets.sync.client import connect  # heavy, and here first needed

        # A socket of our own: the library then follows no redirect, and a dead peer is noticed.
        plain = socket.create_connection((self._host, self._port), timeout=HANDSHAKE)
        try:
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_AFTER_MS)
            return connect(
                f"{self._address}?{urlencode(self._office.query())}",
                sock=plain,
                additional_headers=self._headers(),
                open_timeout=HANDSHAKE,
                ping_interval=None,
                close_timeout=0.2,
                max_size=FRAME_LIMIT,
                compression=None,
                logger=_quiet(),
            )
        except BaseException:
            plain.close()
            raise

    def _count_refusal(self) -> None:
        """The socket did not open. If requests get through all the same, it is blocked on the way."""
        self._office.look()
        self._blocked += 1
        if self._blocked >= BLOCKED_AFTER:
            self._blocked = 0
            self.polling_until = time.monotonic() + POLL_FOR
            log.info("sickbay: sockets are blocked on the way to the server; polling instead")

    def _attend(self, connection: ClientConnection, stopped: threading.Event) -> None:
        now = time.monotonic()
        last_beat, next_look = now - self.beat_s, now + LOOK_EVERY
        answered: threading.Event | None = None
        while not stopped.is_set():
            try:
                due = min(last_beat + self.beat_s, next_look)
                frame = connection.recv(timeout=max(0.0, due - time.monotonic()))
            except TimeoutError:
                frame = None
            if frame is not None:
                self._hear(frame)
            now = time.monotonic()
            if now >= last_beat + self.beat_s:
                connection.send(orjson.dumps(self._office.beat()).decode())
                last_beat = now
            if now >= next_look:
                if answered is not None and not answered.is_set():
                    raise TimeoutError("the socket is dead")
                answered = connection.ping()
                next_look = now + LOOK_EVERY
                self._office.look()

    def _hear(self, frame: str | bytes) -> None:
        """A hello or a look; whatever else is said is not for us."""
        try:
            said = orjson.loads(frame)
            hello = said.get("hello")
            if hello is not None:
                reconnect = float(hello["reconnect_max_s"])
                self.told(float(hello["beat_s"]), reconnect)
                self._blocked = 0
                self._pacing.worked()
                self._office.heard(reconnect)
            elif "look" not in said:
                return
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            log.debug("sickbay: a frame that means nothing: %r", error)
            return
        self._office.look()


def _quiet() -> logging.Logger:
    """A logger that says nothing: an SDK is silent, and what matters is logged as sickbay's."""
    logger = logging.getLogger("sickbay.socket")
    logger.propagate = False
    logger.setLevel(logging.CRITICAL)
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    return logger
