"""Channels of other services: each gets what it reads, nothing of an agent's is markup, secrets stay."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from agents import access
from agents.models import AlertTarget, Attempt, AuditEntry, Incident, Outbox, Project, User
from agents.services import channels, decisions, sending, targets
from agents.services.channels import Message
from tests.domain import cast, receivers
from tests.domain.cast import NOW
from tests.domain.receivers import Hook

pytestmark = pytest.mark.django_db
HOSTILE = "<!channel> @everyone **bold** [click](https://evil.example) <b>x</b> _y_"
MESSAGE = Message(
    HOSTILE, f"{HOSTILE}\nsecond line", "https://sickbay.example/p/main/incidents/7/", "sickbay-7"
)
SAID: dict[str, dict[str, str]] = {
    "slack": {"url": "https://hooks.slack.com/services/T0/B0/abcdefghijkl"},
    "pagerduty": {"key": "0123456789abcdef0123456789ABCDEF", "region": "eu"},
    "ntfy": {"topic": "payments-x7", "server": "https://ntfy.sh", "token": "tk_" + "a" * 29},
    "teams": {"url": "https://prod-1.westus.logic.azure.com/workflows/abc/triggers/manual?sig=secretsecret"},
    "discord": {"url": "https://discord.com/api/webhooks/123/abcdefghijklmnop"},
    "telegram": {"token": "1234567:" + "A" * 35, "chat": "-1001234567890"},
}


@pytest.fixture
def operating(alice: User, project: Project) -> access.Actor:
    return cast.actor(alice, project)


@pytest.fixture
def service(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    """A receiver on this machine that stands for every service."""
    settings.ALERT_ALLOW_CIDRS = ["127.0.0.0/8"]
    with receivers.web_server() as hook:
        monkeypatch.setattr(channels, "SCHEMES", ("http",))
        monkeypatch.setattr(channels, "ALSO", ("127.0.0.1",))
        for base in channels.BASES:
            monkeypatch.setitem(channels.BASES, base, f"http://127.0.0.1:{hook.port}")
        yield hook


def local(kind: str, hook: Hook) -> dict[str, str]:
    here = f"http://127.0.0.1:{hook.port}/in/secret-part-of-it"
    return {name: here if name in ("url", "server") else text for name, text in SAID[kind].items()}


def add(operating: access.Actor, kind: str, said: dict[str, str], **more: Any) -> AlertTarget:
    made = targets.add_channel(actor=operating, kind=kind, label="night", said=said, now=NOW, **more)
    assert made is not None
    return made


def request(kind: str, message: Message = MESSAGE) -> channels.Request:
    found = channels.request(kind, json.dumps(channels.read(kind, SAID[kind])), message)
    assert found is not None
    return found


@pytest.mark.parametrize("kind", sorted(SAID))
def test_an_incident_arrives_as_the_service_reads_it(
    kind: str, service: Hook, project: Project, operating: access.Actor
) -> None:
    """The whole way: form, row, worker, request. It names the agent, and has the one link."""
    add(operating, kind, local(kind, service))
    cast.spends_its_budget(cast.worker(project))
    assert sending.send_due(lambda: NOW) == 1
    (post,) = service.posts
    said = post.body.decode()
    assert "refund-desk" in said and "/p/main/incidents/" in said
    assert post.headers["content-type"] == "application/json" and json.loads(said)
    assert Attempt.objects.get().outcome == "sent"


def test_slack_is_called_by_nobody_but_us() -> None:
    """What would be a mention or a link there is text."""
    body = request("slack").body
    assert "<" not in body["text"] and "&lt;!channel&gt;" in body["text"] and body["mrkdwn"] is False


def test_discord_mentions_nobody() -> None:
    """Whatever the text says."""
    assert request("discord").body["allowed_mentions"] == {"parse": []}


def test_teams_gets_runs_of_text() -> None:
    """No block of it knows markup; the link is a button."""
    card = request("teams").body["attachments"][0]["content"]
    assert {block["type"] for block in card["body"]} == {"RichTextBlock"}
    assert card["actions"][0]["url"] == MESSAGE.link


def test_telegram_has_no_parse_mode() -> None:
    """Text is text."""
    asked = request("telegram")
    assert "parse_mode" not in asked.body and HOSTILE in asked.body["text"]
    assert asked.url == f"https://api.telegram.org/bot{SAID['telegram']['token']}/sendMessage"


def test_ntfy_is_urgent_until_it_is_over() -> None:
    """The highest priority wakes a phone; that it is over does not."""
    over = Message("x", "y", "", "t", is_over=True)
    assert (request("ntfy").body["priority"], request("ntfy", over).body["priority"]) == (5, 3)
    assert request("ntfy").headers["Authorization"].startswith("Bearer tk_")


def test_pagerduty_has_one_alert_an_incident_and_resolves_it(
    service: Hook, project: Project, operating: access.Actor
) -> None:
    """Triggered with the incident's key, and resolved by the same when somebody has decided."""
    add(operating, "pagerduty", SAID["pagerduty"])
    mail = AlertTarget.objects.create(project=project, kind="email", label="x", address="x@example.com")
    incident = cast.spends_its_budget(cast.worker(project)).incident
    sending.send_due(lambda: NOW)
    incident.refresh_from_db()
    decisions.decide(
        actor=operating, incident_id=incident.pk, verb="resume", version=incident.version, reason="x", now=NOW
    )
    sending.send_due(lambda: NOW)
    bodies = [json.loads(post.body) for post in service.posts]
    assert [body["event_action"] for body in bodies] == ["trigger", "resolve"]
    assert bodies[0]["dedup_key"] == bodies[1]["dedup_key"] and str(incident.pk) in bodies[0]["dedup_key"]
    assert not Outbox.objects.filter(target=mail, about="resolved").exists()


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("slack", {"url": "https://evil.example/services/T/B/x"}),
        ("slack", {"url": "http://hooks.slack.com/services/T/B/x"}),
        ("slack", {"url": "https://hooks.slack.com.evil.example/x"}),
        ("slack", {"url": "https://user:pw@hooks.slack.com/services/x"}),
        ("slack", {"url": ""}),
        ("discord", {"url": "https://discord.com\n.evil.example/x"}),
        ("teams", {"url": "https://[::1/x"}),
        ("pagerduty", {"key": "short"}),
        ("pagerduty", {"key": "0" * 32, "region": "moon"}),
        ("ntfy", {"topic": "a/b"}),
        ("ntfy", {"topic": "x" * 65}),
        ("ntfy", {"topic": "x", "server": "https://10.0.0.1"}),
        ("ntfy", {"topic": "x", "server": "file:///etc/passwd"}),
        ("telegram", {"token": "abc", "chat": "1234"}),
        ("telegram", {"token": "1234567:" + "A" * 35, "chat": "me"}),
        ("slack", {"url": "https://hooks.slack.com/" + "x" * 600}),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_copy(
    kind: str, wrong: dict[str, str], operating: access.Actor
) -> None:
    """Nothing is kept, and the sentence says what belongs there."""
    with pytest.raises(targets.Refused, match=r"Copy|Write|private network"):
        add(operating, kind, wrong)
    assert not AlertTarget.objects.exists()


@pytest.mark.parametrize("kind", sorted(SAID))
def test_what_it_needs_is_encrypted_and_never_shown_back(
    kind: str, operating: access.Actor, client: Any, alice: User
) -> None:
    """Neither in the row, nor on the page, nor in the log: an outline is."""
    target = add(operating, kind, SAID[kind])
    client.force_login(alice)
    shown = client.get("/p/main/alerts/").content.decode()
    kept = str(bytes(target.secret or b""))
    log = json.dumps(list(AuditEntry.objects.values("object", "saw")))
    for name, text in SAID[kind].items():
        if name in ("url", "key", "token"):
            assert text not in shown and text not in kept and text not in log and text not in target.address
    assert target.address.replace("…", "")[-4:] in shown


def test_another_address_replaces_all_that_was_kept(operating: access.Actor) -> None:
    """A change asks for everything anew; a token that is left out is gone."""
    target = add(operating, "ntfy", SAID["ntfy"])
    changed = add(operating, "ntfy", {"topic": "other", "server": "https://ntfy.example"}, pk=target.pk)
    kept = json.loads(targets.decrypt(changed) or "{}")
    assert kept == {"topic": "other", "server": "https://ntfy.example", "token": ""}


def test_a_service_that_refuses_is_quoted_by_its_status_alone(
    service: Hook, project: Project, operating: access.Actor
) -> None:
    """What it answered may hold anything; nothing of it is kept."""

    def refuses(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(403)
        handler.end_headers()
        handler.wfile.write(b"token xoxb-secret is revoked")

    service.answer = refuses
    add(operating, "slack", local("slack", service))
    cast.spends_its_budget(cast.worker(project))
    sending.send_due(lambda: NOW)
    assert Attempt.objects.get().why == "it answered 403"
    assert Incident.objects.count() == 1
