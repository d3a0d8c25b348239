"""Django's answers through our own handler (dashboard/asgi), on a real Daphne."""

from __future__ import annotations

import http.client
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.conf import settings

from tests.builders import Wire
from tests.product import Daphne

pytestmark = pytest.mark.django_db(transaction=True)


def test_more_requests_than_connections_are_all_answered(wire: Wire) -> None:
    """A hundred at once take turns, and each gives its connection back."""
    with ThreadPoolExecutor(100) as threads:
        answers = [*threads.map(lambda _: wire.post_events().status_code, range(300))]
    assert answers == [200] * 300


def test_a_static_file_arrives_whole(daphne: Daphne) -> None:
    """Every byte of it, once, under the length that its head says."""
    path = max((Path(settings.BASE_DIR) / "static" / "vendor").rglob("*.js"), key=lambda p: p.stat().st_size)
    status, body = daphne.get(f"/static/{path.relative_to(settings.BASE_DIR / 'static')}")
    assert (status, body) == (200, path.read_bytes())


def test_a_cookie_arrives(daphne: Daphne) -> None:
    """What Django puts beside its headers is sent with them."""
    connection = http.client.HTTPConnection("127.0.0.1", daphne.port, timeout=10)
    connection.request("GET", "/accounts/login/")
    answer = connection.getresponse()
    connection.close()
    assert answer.status == 200
    assert "csrftoken=" in (answer.getheader("Set-Cookie") or "")
