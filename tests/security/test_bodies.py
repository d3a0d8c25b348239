"""The bodies that Daphne must never keep: refused by their headers, counted when they hide their length.

These tests speak over a bare socket, because every decent client would spoil them. They are the guard for
the two private names of Twisted that dashboard/serving/bodies.py reads.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator

import psutil
import pytest

from dashboard.serving.bodies import KB, MB, Refusal, judge
from tests.product import Daphne, running_daphne
from tests.waiting import until

BEARER = b"Authorization: Bearer sb_" + b"a" * 12 + b"_" + b"b" * 43 + b"\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi"
EVENTS = b"POST /api/v1/events/ HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def daphne(django_db_setup: None) -> Iterator[Daphne]:
    with running_daphne("--headers-seconds", "1", "--body-seconds", "1.5", "--connections", "8") as daphne:
        yield daphne


def talk(daphne: Daphne) -> socket.socket:
    return socket.create_connection(("127.0.0.1", daphne.port), timeout=10)


def read_all(connection: socket.socket) -> bytes:
    """What the server says until it closes the connection."""
    said = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            said += part
    return said


def pour(connection: socket.socket, chunk: bytes, most: int) -> int:
    """Sends `chunk` again and again until the server cuts the line; how much it took."""
    sent = 0
    with contextlib.suppress(ConnectionError, TimeoutError):
        while sent < most:
            sent += connection.send(chunk)
    return sent


def memory(daphne: Daphne) -> int:
    assert daphne.process is not None and daphne.process.pid is not None
    size: int = psutil.Process(daphne.process.pid).memory_info().rss
    return size


def test_300_mb_without_a_token_cost_nothing(daphne: Daphne) -> None:
    """A length beyond the limit is refused with 413 before the body, which is not kept."""
    before = memory(daphne)
    with talk(daphne) as connection:
        connection.sendall(EVENTS + b"Content-Length: 314572800\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 413"
        began = time.monotonic()
        pour(connection, b"x" * 65536, 300 * MB)
        assert time.monotonic() - began < 8
    assert memory(daphne) - before < 20 * MB


def test_a_refusal_says_what_to_do_and_closes(daphne: Daphne) -> None:
    """The refusal is a whole JSON answer, readable although the body was never sent, and the line ends."""
    with talk(daphne) as connection:
        connection.sendall(EVENTS + b"Content-Length: 100\r\n\r\n")
        head, _, body = read_all(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 401") and b"Connection: close" in head
    assert set(json.loads(body)) == {"error", "message", "what_to_do"}


def test_chunks_without_end_are_cut(daphne: Daphne) -> None:
    """A chunked body is counted as it comes and refused when it passes the limit."""
    before = memory(daphne)
    with talk(daphne) as connection:
        connection.sendall(
            b"POST /accounts/login/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        pour(connection, b"10000\r\n" + b"x" * 65536 + b"\r\n", 100 * MB)
        with contextlib.suppress(ConnectionError):
            assert connection.recv(12) == b"HTTP/1.1 413"
    assert memory(daphne) - before < 20 * MB


def test_chunks_that_pass_the_limit_are_answered(daphne: Daphne) -> None:
    """Who stops sending just beyond the limit reads 413."""
    with talk(daphne) as connection:
        connection.sendall(
            b"POST /accounts/login/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(17):
            connection.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 413")


def test_slow_headers_run_out_of_time(daphne: Daphne) -> None:
    """A line that trickles moves no deadline: the connection ends on time."""
    with talk(daphne) as connection:
        connection.settimeout(0.2)
        began = time.monotonic()

        def is_closed() -> bool:
            with contextlib.suppress(TimeoutError):
                try:
                    connection.sendall(b"X")
                    return connection.recv(1) == b""
                except ConnectionError:
                    return True
            return False

        until(is_closed, 5, "the slow connection to be cut")
        assert time.monotonic() - began < 4


def test_slow_body_runs_out_of_time(daphne: Daphne) -> None:
    """A body that is promised and does not come ends the connection, and no view was asked."""
    with talk(daphne) as connection:
        connection.sendall(EVENTS + BEARER + b"Content-Length: 1000\r\n\r\nhello")
        began = time.monotonic()
        assert read_all(connection) == b""
        assert 1 < time.monotonic() - began < 4


def test_an_understated_body_is_cut_at_its_length(daphne: Daphne) -> None:
    """What comes after the stated length is no part of the request, and no valid next one."""
    with talk(daphne) as connection:
        connection.sendall(
            b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi" + b"x" * 100 + b"\r\n"
        )
        said = read_all(connection)
    assert said.startswith(b"HTTP/1.1 403")
    assert said.count(b"HTTP/1.1 ") == 2 and b"HTTP/1.1 400" in said


def test_nobody_is_invited_to_send(daphne: Daphne) -> None:
    """`Expect: 100-continue` is answered by the verdict itself."""
    with talk(daphne) as connection:
        connection.sendall(EVENTS + b"Expect: 100-continue\r\nContent-Length: 314572800\r\n\r\n")
        said = read_all(connection)
    assert said.startswith(b"HTTP/1.1 413") and b"100 Continue" not in said


@pytest.mark.parametrize(
    "lengths",
    [
        b"Content-Length: -1\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip\r\n",
    ],
)
def test_ambiguous_lengths_are_refused(daphne: Daphne, lengths: bytes) -> None:
    """A request whose end two readers could see in two places is refused, and nothing after it is read."""
    with talk(daphne) as connection:
        connection.sendall(
            b"POST /healthz HTTP/1.1\r\nHost: localhost\r\n" + lengths + b"\r\nGET /healthz HTTP/1.1\r\n\r\n"
        )
        said = read_all(connection)
    assert said.startswith(b"HTTP/1.1 400") and b"200 OK" not in said


def test_a_normal_request_is_served_on_a_kept_connection(daphne: Daphne) -> None:
    """Two requests on one connection are both answered, with and without a body."""
    with talk(daphne) as connection:
        for request in (GET, POST):
            connection.sendall(request)
            assert connection.recv(65536).startswith(b"HTTP/1.1 ")
    assert daphne.answers("/healthz")


def test_connections_are_limited(daphne: Daphne) -> None:
    """Beyond the limit a connection is closed at once, and when others go there is room again."""
    with contextlib.ExitStack() as open_connections:
        for _ in range(8):
            open_connections.enter_context(talk(daphne))
        with talk(daphne) as beyond:
            assert read_all(beyond) == b""
    until(lambda: daphne.answers("/healthz"), 5, "room")


def test_sigterm_with_half_a_body_ends_quickly(daphne: Daphne) -> None:
    """A request that is still coming does not hold up the end of the server."""
    with talk(daphne) as connection:
        connection.sendall(EVENTS + BEARER + b"Content-Length: 1000\r\n\r\nhello")
        assert daphne.process is not None and daphne.process.process is not None
        daphne.process.ask_to_stop()
        assert daphne.process.process.wait(5) in (0, -15)
    daphne.start()


@pytest.mark.parametrize(
    ("path", "length", "token", "status"),
    [
        ("/api/v1/events/", 8 * MB, BEARER, None),
        ("/api/v1/events/", 8 * MB + 1, BEARER, 413),
        ("/api/v1/agents/register/", 256 * KB + 1, BEARER, 413),
        ("/api/v1/events/", None, b"", 401),
        ("/api/v1/events/", 1, b"Authorization: Basic abc\r\n", 401),
        ("/api/v1/agents/", 0, b"", None),
        ("/accounts/login/", MB, b"", None),
        ("/accounts/login/", MB + 1, BEARER, 413),
        ("*", MB + 1, b"", 413),
    ],
)
def test_judged_by_headers(path: str, length: int | None, token: bytes, status: int | None) -> None:
    """Length by path, and for the API a well-formed bearer wherever there is a body."""
    header = token.removeprefix(b"Authorization: ").strip()
    refusal: Refusal | None = judge(path, length, header)
    assert (refusal.status if refusal else None) == status


def test_sockets_leave_room_when_they_go(daphne: Daphne) -> None:
    """A refused WebSocket counts as a connection no longer than it lasts."""
    handshake = (
        b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    for _ in range(20):
        with talk(daphne) as connection:
            connection.sendall(handshake)
            assert read_all(connection).startswith(b"HTTP/1.1 404")
    assert daphne.answers("/healthz")
