"""A browser's socket: exactly our own origin, however near another one is."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard.serving.origins import is_own

HOST = b"localhost:8000"


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        (b"http://localhost:8000", HOST, True),
        (b"http://LOCALHOST:8000", HOST, True),
        (b"http://127.0.0.1:8000", b"127.0.0.1:8000", True),
        (b"http://[::1]:8000", b"[::1]:8000", True),
        (b"http://localhost:3000", HOST, False),
        (b"http://localhost", HOST, False),
        (b"https://localhost:8000", HOST, False),
        (b"http://localhost:8000.evil.example", HOST, False),
        (b"http://evil.example", b"evil.example", False),
        (b"http://127.0.0.1:8000", HOST, False),
        (b"null", HOST, False),
        (b"", HOST, False),
        (b"file://", HOST, False),
        (b"http://\xff", HOST, False),
        (b"http://localhost:8000", b"", False),
    ],
)
def test_origin(origin: bytes, host: bytes, own: bool) -> None:
    """Scheme, host and port are all the request's own, and the host is one of ours."""
    assert is_own({b"origin": origin, b"host": host}) is own


def test_behind_tls_only_https_is_own(settings: Any) -> None:
    """Behind TLS a page that came without it is somebody else's."""
    settings.BEHIND_TLS = True
    assert is_own({b"origin": b"https://localhost:8000", b"host": HOST})
    assert not is_own({b"origin": b"http://localhost:8000", b"host": HOST})


def test_a_trusted_origin_is_own(settings: Any) -> None:
    """What the operator listed is trusted, in that spelling."""
    settings.CSRF_TRUSTED_ORIGINS = ["https://sickbay.example"]
    assert is_own({b"origin": b"https://sickbay.example", b"host": HOST})
    assert not is_own({b"origin": b"https://sickbay.example:8443", b"host": HOST})
