"""A host name that this server does not know: refused, and said."""

from __future__ import annotations

import json

import pytest
from django.test import Client


def test_the_page_names_the_setting(client: Client) -> None:
    """Whoever opens the server under another name reads which setting lets it in."""
    answer = client.get("/accounts/login/", headers={"Host": "box.lan:8000"})
    page = answer.content.decode()
    assert answer.status_code == 421
    assert "<b>box.lan</b>" in page and "SICKBAY_HOSTS=box.lan," in page
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "host",
    [
        "<script>alert(1)</script>",
        "a b",
        "a,b",
        "x" * 5_000,
        "\x1b[31m",
        "évil",
        "a/../b",
        "'",
        "{{x}}",
        "@a",
    ],
)
def test_a_hostile_name_is_not_repeated(client: Client, host: str) -> None:
    """What is no name is refused without being shown."""
    answer = client.get("/", headers={"Host": host})
    assert answer.status_code == 421 and host not in answer.content.decode()


def test_the_api_says_it_in_its_shape(client: Client) -> None:
    """An agent keeps what it has (421, not 400), and passes on what to set."""
    answer = client.post(
        "/api/v1/agents/register/", b"{}", content_type="application/json", headers={"Host": "box.lan"}
    )
    said = json.loads(answer.content)
    assert (answer.status_code, said["error"]) == (421, "unknown_host")
    assert "not in SICKBAY_HOSTS" in said["message"] and "set SICKBAY_HOSTS" in said["what_to_do"]


def test_another_bad_request_stays_one(client: Client, db: None) -> None:
    """Only the host name gets that page."""
    assert client.post("/accounts/login/", {f"f{n}": "" for n in range(1_200)}).status_code == 400
