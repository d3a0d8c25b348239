"""Calling an address that somebody typed in, without being led into our own network.

The name is resolved once, every address it has is checked against our own list (the standard library's
idea of *private* misses carrier NAT, NAT64, 6to4, multicast and more), and the connection goes to the
checked address, so that a second answer of the DNS changes nothing. No redirects; of the answer only the
status is kept, a few bytes are read and dropped; everything ends after ten seconds.

Messages are signed after Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import queue
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import urllib3
from django.conf import settings

LIMIT_S = 10.0
READ_AT_MOST = 4096
PUBLIC_V6 = ipaddress.ip_network("2000::/3")
REFUSED = [
    ipaddress.ip_network(net)
    for net in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
        "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
    )
]  # fmt: skip

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], list[str]]


class NotSent(Exception):
    """The message was not handed over; the words say why and hold nothing of the answer's body."""


@dataclass(frozen=True)
class Call:
    """One signed message to one address."""

    url: str
    id: str
    timestamp: int
    body: bytes
    secret: str

    def headers(self) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "User-Agent": "Sickbay-Alerts",
            "webhook-id": self.id,
            "webhook-timestamp": str(self.timestamp),
            "webhook-signature": sign(self.secret, self.id, self.timestamp, self.body),
        }


def sign(secret: str, id: str, timestamp: int, body: bytes) -> str:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise NotSent("its secret cannot be read: make a new one") from error
    mac = hmac.new(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(mac).decode()


def resolved(host: str, port: int) -> list[str]:
    """What the name leads to, in the resolver's order. A DNS that is silent is left: the system would wait
    for ten seconds for each server that it knows."""
    answer: queue.SimpleQueue[list[str] | OSError | UnicodeError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answer.put([str(sockaddr[0]) for *_, sockaddr in found])
        except (OSError, UnicodeError) as error:
            answer.put(error)

    threading.Thread(target=ask, name="resolver", daemon=True).start()
    try:
        said = answer.get(timeout=LIMIT_S / 2)
    except queue.Empty as error:
        raise TimeoutError from error
    if isinstance(said, Exception):
        raise said
    return said


def deliver(call: Call, *, resolve: Resolve = resolved) -> int:
    """Hand it over; the status of a 2xx answer, or NotSent."""
    return _asked("POST", call.url, call.headers(), call.body, resolve)


def ping(url: str, *, resolve: Resolve = resolved) -> int:
    """Say that all is well to an address that counts on it, under the same rules."""
    return _asked("GET", url, {"User-Agent": "Sickbay-Alive"}, b"", resolve)


def post(url: str, body: bytes, headers: dict[str, str], *, resolve: Resolve = resolved) -> int:
    """Hand something over that is not signed, in the words of the service that takes it."""
    return _asked("POST", url, headers, body, resolve)


def _asked(method: str, url: str, headers: dict[str, str], body: bytes, resolve: Resolve) -> int:
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = allowed_address(host, port, resolve)
    pool = _pool(parts.scheme, host, address, port)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {**headers, "Host": parts.netloc}
    try:
        with cut_off(_sockets(pool)) as was_cut:
            answer = pool.urlopen(
                method, path, body=body or None, headers=headers, redirect=False, retries=False,
                preload_content=False, decode_content=False, assert_same_host=False,
            )  # fmt: skip
            answer.read(READ_AT_MOST)
            answer.close()
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise NotSent(_why(error)) from error
    finally:
        pool.close()
    if was_cut.is_set():
        raise NotSent("it did not answer in time")
    if 300 <= answer.status < 400:
        raise NotSent(f"it answered {answer.status}: redirects are not followed")
    if not 200 <= answer.status < 300:
        raise NotSent(f"it answered {answer.status}")
    return answer.status


def allowed_address(host: str, port: int, resolve: Resolve) -> str:
    """The first address of this name, once all of them were found to be allowed."""
    try:
        found = resolve(host, port)
    except (OSError, UnicodeError) as error:
        raise NotSent("its name cannot be resolved") from error
    if not found:
        raise NotSent("its name leads nowhere")
    for one in found:
        if not allowed(ipaddress.ip_address(one.partition("%")[0])):
            raise NotSent("its address is not a public one (SICKBAY_ALERT_ALLOW_CIDRS allows more)")
    return found[0]


def may_lead_out(host: str) -> bool:
    """Without asking the DNS: false for an address, in any spelling, or a localhost that is not allowed."""
    if host.rstrip(".") == "localhost" or host.rstrip(".").endswith(".localhost"):
        return allowed(ipaddress.ip_address("127.0.0.1"))
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return True
    return all(allowed(ipaddress.ip_address(str(at[0]).partition("%")[0])) for *_, at in found)


def allowed(address: Address) -> bool:
    """Public, by our own list, or named by the operator of this server."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    meant = mapped or address
    for net in settings.ALERT_ALLOW_CIDRS:
        if meant in ipaddress.ip_network(net, strict=False):
            return True
    if isinstance(address, ipaddress.IPv6Address) and address not in PUBLIC_V6:
        return False
    return not any(address in net for net in REFUSED)


def _pool(scheme: str, host: str, address: str, port: int) -> urllib3.HTTPConnectionPool:
    """A pool to the checked address; the certificate must be for the name."""
    timeout = urllib3.Timeout(connect=LIMIT_S / 2, read=LIMIT_S / 2)
    if scheme == "https":
        return urllib3.HTTPSConnectionPool(
            address, port, timeout=timeout, maxsize=1, server_hostname=host, assert_hostname=host
        )
    return urllib3.HTTPConnectionPool(address, port, timeout=timeout, maxsize=1)


def _sockets(pool: urllib3.HTTPConnectionPool) -> Callable[[], list[socket.socket | None]]:
    """The sockets of every connection that this pool makes from now on."""
    made: list[Any] = []
    build: Callable[..., Any] = pool.ConnectionCls

    def remembered(*args: object, **kwargs: object) -> Any:
        made.append(build(*args, **kwargs))
        return made[-1]

    pool.ConnectionCls = remembered  # type: ignore[assignment]
    return lambda: [getattr(connection, "sock", None) for connection in made]


@contextmanager
def cut_off(sockets: Callable[[], Iterable[socket.socket | None]]) -> Iterator[threading.Event]:
    """Socket timeouts start anew with every byte; this ends a trickle, too: whoever reads wakes up.

    The event says whether it was cut: headers that end early look like an answer.
    """
    was_cut = threading.Event()

    def cut() -> None:
        was_cut.set()
        for sock in sockets():
            if sock is not None:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(LIMIT_S, cut)
    timer.daemon = True
    timer.start()
    try:
        yield was_cut
    finally:
        timer.cancel()


def _why(error: Exception) -> str:
    """Our own words for what went wrong; nothing that the other side wrote."""
    if isinstance(error, urllib3.exceptions.ConnectTimeoutError):
        return "it did not answer in time"
    if isinstance(error, urllib3.exceptions.SSLError):
        return "its certificate is not valid for this name"
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return "no connection could be made"
    if isinstance(error, (urllib3.exceptions.TimeoutError, TimeoutError)):
        return "it did not answer in time"
    return "it broke off, or answered something that is not HTTP"
