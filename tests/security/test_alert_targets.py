"""Alert addresses that would lead into our own network, or hold the worker up, or answer too much.

STACK.md, *Alerts*, line by line:

    typed forms, no raw URL     test_channels (what_cannot_be_is_refused), below (no_web_address)
    encrypted at rest           test_channels (encrypted_and_never_shown_back), test_alerts (kept_encrypted)
    cleared when it moves       test_channels (another_address_replaces), test_alerts (new_address_new_secret)
    an allowlist of kinds       test_targets (json://, file://), AlertTarget.Kind
    no redirects                below (redirects_are_not_followed)
    resolved once, checked      below (name_is_resolved_once), test_alert_names (a real DNS that rebinds)
    private networks, CIDRS     below (however_spelt, operator_may_name), test_alert_names
    answers never shown         below (body_is_never_kept), test_channels (quoted_by_its_status_alone)
    time limit                  below (hangs, trickles), test_alert_names, faults/test_channels_hang
    isolation of the worker     faults/test_channels_hang, in place of a queue of its own
    back-off, a row an attempt  test_alerts (tried_again_later, given_up_after_many_tries)
    PagerDuty                   test_channels (one_alert_an_incident_and_resolves_it)
    no act by GET               pages/test_targets (reading_changes_nothing), security/test_matrix
    certificates                below (good_certificate, bad_certificate)
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from agents.models import Project, User
from agents.services import targets, webhooks
from agents.services.webhooks import Call, NotSent
from tests.domain import cast, receivers
from tests.domain.receivers import Hook
from tests.security import certificates

SECRET = "whsec_" + "QUJD" * 8
SPELLINGS = [
    "http://127.0.0.1/", "http://127.1/", "http://0x7f.1/", "http://2130706433/", "http://017700000001/",
    "http://localhost/", "http://localhost./", "http://0/", "http://0.0.0.0/", "http://[::1]/", "http://[::]/",
    "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://10.0.0.1/", "http://192.168.1.1/",
    "http://172.16.0.1/", "http://169.254.169.254/latest/meta-data/", "http://100.64.0.1/",
    "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://[fe80::1]/", "http://[fc00::1]/",
    "http://[fec0::1]/", "http://224.0.0.1/", "http://255.255.255.255/", "http://198.18.0.1/",
    "http://192.0.2.1/", "http://[2001:db8::1]/", "http://[2001::1]/", "http://[ff02::1]/",
]  # fmt: skip
NO_ADDRESS = [
    "", "ftp://example.com/", "file:///etc/passwd", "javascript:alert(1)",
    "gopher://example.com/", "//example.com/",
    "http://", "http:///path", "http://user:pass@example.com/", "http://example.com:0/",
    "http://example.com:99999/",
    "http://exa mple.com/", "http://example.com/\r\nX: y", "http://example.com\\@127.0.0.1/",
    "http://ex%61mple.com/",
    "http://例え.jp/", "mailto:a@example.com", "https://" + "a" * 600 + ".example/",
]  # fmt: skip
PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:2800:220:1::1", "1.1.1.1", "2a00:1450:4001::1"]


@pytest.fixture
def hook(settings: Any) -> Iterator[Hook]:
    settings.ALERT_ALLOW_CIDRS = ["127.0.0.1/32"]
    with receivers.web_server() as hook:
        yield hook


def call(url: str) -> Call:
    return Call(url, "msg_1", 1, b"{}", SECRET)


@pytest.mark.parametrize("url", SPELLINGS)
def test_a_private_address_is_refused_however_spelt(url: str, settings: Any) -> None:
    """Numbers, names, mapped and translated addresses: nothing is sent."""
    settings.ALERT_ALLOW_CIDRS = []
    with pytest.raises(NotSent, match=r"not a public one|cannot be resolved"):
        webhooks.deliver(call(targets.checked("webhook", url)))


@pytest.mark.django_db
@pytest.mark.parametrize("url", SPELLINGS)
def test_the_form_refuses_a_private_address(url: str, alice: User, project: Project, settings: Any) -> None:
    """At once, with the setting that would allow it; with the setting it is kept."""
    form = {"actor": cast.actor(alice, project), "kind": "webhook", "label": "", "now": cast.NOW}
    settings.ALERT_ALLOW_CIDRS = []
    with pytest.raises(targets.Refused, match="SICKBAY_ALERT_ALLOW_CIDRS"):
        targets.add(address=url, **form)
    settings.ALERT_ALLOW_CIDRS = ["0.0.0.0/0", "::/0"]
    assert targets.add(address=url, **form).target.pk


@pytest.mark.django_db
def test_a_target_that_became_private_can_be_turned_off(alice: User, project: Project, settings: Any) -> None:
    """Only a new address is looked at: the switch works whatever the setting is by now."""
    who = cast.actor(alice, project)
    settings.ALERT_ALLOW_CIDRS = ["10.0.0.0/8"]
    url = "http://10.1.2.3/hook"
    kept = targets.add(actor=who, kind="webhook", label="", address=url, now=cast.NOW).target
    settings.ALERT_ALLOW_CIDRS = []
    changed = targets.change(actor=who, pk=kept.pk, label="", address=url, enabled=False, now=cast.NOW)
    assert changed is not None and not changed.target.enabled


@pytest.mark.parametrize("url", NO_ADDRESS)
def test_what_is_no_web_address_cannot_be_a_target(url: str) -> None:
    """Other schemes, credentials, breaks and tricks are refused when they are typed in."""
    with pytest.raises(targets.Refused):
        targets.checked("webhook", url)


@pytest.mark.parametrize(
    "address", ["", "a", "a@", "@b.cd", "a@b.cd,c@d.ef", "a@b.cd\nBcc: x@y.zz", "<a@b.cd>"]
)
def test_what_is_no_mail_address_cannot_be_a_target(address: str) -> None:
    """One address, without anything around it."""
    with pytest.raises(targets.Refused):
        targets.checked("email", address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    """The list refuses only what is not public."""
    assert webhooks.allowed(ipaddress.ip_address(address))


def test_an_operator_may_name_private_networks(settings: Any) -> None:
    """SICKBAY_ALERT_ALLOW_CIDRS opens these and no others, mapped spellings included."""
    settings.ALERT_ALLOW_CIDRS = ["10.1.0.0/16", "fd00::/8"]
    for address, answer in (
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("10.2.0.1", False),
        ("fd00::1", True),
    ):
        assert webhooks.allowed(ipaddress.ip_address(address)) is answer


def test_one_private_address_among_public_ones_refuses_the_name() -> None:
    """A name with a public and a private address is not called at all."""
    with pytest.raises(NotSent, match="not a public one"):
        webhooks.allowed_address("mixed.example", 443, lambda host, port: ["93.184.216.34", "10.0.0.1"])


def test_a_name_is_resolved_once(hook: Hook) -> None:
    """DNS rebinding: the second answer is never asked for; the connection goes to the checked address."""
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return next(answers)

    status = webhooks.deliver(call(f"http://rebind.example:{hook.port}/x"), resolve=resolve)
    assert (status, asked) == (204, ["rebind.example"])
    assert hook.posts[0].headers["host"] == f"rebind.example:{hook.port}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(hook: Hook, status: int) -> None:
    """Nothing is sent anywhere else, whatever the answer asks for."""

    def elsewhere(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Location", f"http://127.0.0.1:{hook.port}/elsewhere")
        handler.end_headers()

    hook.answer = elsewhere
    with pytest.raises(NotSent, match="redirects are not followed"):
        webhooks.deliver(call(hook.url))
    assert len(hook.posts) == 1


def test_a_body_is_never_kept(hook: Hook) -> None:
    """The reason holds the status and none of the other side's words."""
    hook.answer = lambda handler: handler.send_error(418, "secret words")
    with pytest.raises(NotSent) as refused:
        webhooks.deliver(call(hook.url))
    assert str(refused.value) == "it answered 418"


def test_a_huge_answer_is_read_to_a_bound(hook: Hook) -> None:
    """A body of a gigabyte costs a few kilobytes and no time."""
    written = []

    def huge(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(2**30))
        handler.end_headers()
        for _ in range(1024):
            written.append(handler.wfile.write(b"x" * 2**20))

    hook.answer = huge
    started = time.monotonic()
    assert webhooks.deliver(call(hook.url)) == 200
    assert time.monotonic() - started < 5 and sum(written) < 2**29


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "LIMIT_S", 1.0)


def test_a_receiver_that_hangs_is_left(hook: Hook, impatient: None) -> None:
    """It does not answer: within the limit the worker goes on."""
    let_go = threading.Event()
    hook.answer = lambda handler: let_go.wait(30) and None
    started = time.monotonic()
    with pytest.raises(NotSent, match="in time"):
        webhooks.deliver(call(hook.url))
    let_go.set()
    assert time.monotonic() - started < 3


def test_a_receiver_that_trickles_is_cut_off(hook: Hook, impatient: None) -> None:
    """A byte now and then renews no deadline."""
    let_go = threading.Event()

    def trickle(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not let_go.wait(0.1):
            handler.wfile.write(b"X-More: x\r\n")
            handler.wfile.flush()

    hook.answer = trickle
    started = time.monotonic()
    with pytest.raises(NotSent):
        webhooks.deliver(call(hook.url))
    let_go.set()
    assert time.monotonic() - started < 4


def test_what_is_no_http_is_a_reason(impatient: None, settings: Any) -> None:
    """Another protocol's greeting is neither shown nor waited for."""
    settings.ALERT_ALLOW_CIDRS = ["127.0.0.0/8"]
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def greet() -> None:
            peer, _ = server.accept()
            peer.sendall(b"220 secret.internal ESMTP\r\n")
            peer.close()

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(NotSent) as refused:
            webhooks.deliver(call(f"http://127.0.0.1:{port}/"))
        thread.join(5)
    assert "secret" not in str(refused.value)


def test_https_to_what_speaks_none_hands_nothing_over(settings: Any) -> None:
    """There is no falling back."""
    settings.ALERT_ALLOW_CIDRS = ["127.0.0.0/8"]
    with receivers.web_server() as hook:
        with pytest.raises(NotSent):
            webhooks.deliver(call(f"https://localhost:{hook.port}/"))
        assert hook.posts == []


GOOD: dict[str, Any] = {}
BAD: dict[str, dict[str, Any]] = {
    "another name": {"name": "other.example"},
    "expired": {"days": (-30, -1)},
    "not yet": {"days": (1, 30)},
    "nobody's": {"is_trusted": False},
}


def called_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **certificate: Any) -> int:
    """A webhook to a receiver with this certificate, where the authority of good ones is known."""
    made = certificates.make(tmp_path, **certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.authority))
    with receivers.web_server(tls=made.context) as hook:
        try:
            return webhooks.deliver(call(f"https://localhost:{hook.port}/hook"))
        finally:
            assert len(hook.posts) == (0 if certificate else 1)


def test_a_good_certificate_is_taken(hook: Hook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is checked, although the connection goes to an address."""
    assert called_over_tls(tmp_path, monkeypatch, **GOOD) == 204


@pytest.mark.parametrize("what", sorted(BAD))
def test_a_bad_certificate_hands_nothing_over(
    what: str, hook: Hook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another name, another time, or signed by nobody that is known: refused before a byte of the message."""
    with pytest.raises(NotSent, match="certificate is not valid"):
        called_over_tls(tmp_path, monkeypatch, **BAD[what])
