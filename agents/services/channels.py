"""The channels that are no address alone: what each is asked for, and the one request that its service takes.

    fields    what a person copies from the service's page, checked by its shape
    request   one message as that service reads it: plain text, nothing of an agent's is markup or a mention

All of it is secret (whoever has a webhook's address may write there), so it is kept encrypted, shown back as
an outline, and asked for anew when anything changes. What is sent goes the way of webhooks: the checked
address alone, no redirects, a time limit, and of the answer the status.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from agents.models import AlertTarget

Said = Mapping[str, str]
Kind = AlertTarget.Kind
BASES = {
    "telegram": "https://api.telegram.org",
    "pagerduty": "https://events.pagerduty.com",
    "pagerduty-eu": "https://events.eu.pagerduty.com",
}
SCHEMES, ALSO = ("https",), ()  # schemes, and hosts beside a field's own
LONGEST = 500


class Wrong(ValueError):
    """A field cannot be kept like this; the message says what to write."""


@dataclass(frozen=True)
class Message:
    """What is told. `thread` is the same for all about one incident; `is_over`: it needs nobody any more."""

    subject: str
    text: str
    link: str
    thread: str
    is_over: bool = False

    @property
    def whole(self) -> str:
        return f"{self.subject}\n{self.text}"


@dataclass(frozen=True)
class Request:
    url: str
    body: Mapping[str, Any]
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Field:
    """One thing that is asked for. `pattern` is of the whole; `hosts`: an https address below one of them."""

    name: str
    label: str
    placeholder: str
    help: str
    pattern: str = ""
    hosts: tuple[str, ...] = ()
    default: str = ""
    is_optional: bool = False

    def read(self, said: Said) -> str:
        text = said.get(self.name, "").strip() or self.default
        if not text and self.is_optional:
            return ""
        fits = len(text) <= LONGEST and text.isascii() and text.isprintable() and " " not in text
        if not fits or (self.pattern and not re.fullmatch(self.pattern, text)) or not self._leads_there(text):
            raise Wrong(self.help)
        return text

    def _leads_there(self, text: str) -> bool:
        if not self.hosts:
            return True
        try:
            parts = urlsplit(text)
            host = parts.hostname or ""
        except ValueError:
            return False
        is_plain = parts.scheme in SCHEMES and "@" not in parts.netloc and not parts.fragment
        below = any(host == known or host.endswith(f".{known}") for known in (*self.hosts, *ALSO))
        return is_plain and (below or "*" in self.hosts) and bool(host)


@dataclass(frozen=True)
class Channel:
    kind: str
    title: str
    icon: str
    fields: tuple[Field, ...]
    outline: Callable[[Said], str]
    request: Callable[[Said, Message], Request | None]
    resolves: bool = False


def read(kind: str, said: Said) -> dict[str, str]:
    """The fields as they are kept, or Wrong."""
    return {field.name: field.read(said) for field in CHANNELS[kind].fields}


def request(kind: str, kept: str, message: Message) -> Request | None:
    """What to send; None where this channel has nothing to say to that."""
    said = {str(name): str(value) for name, value in json.loads(kept).items()}
    return CHANNELS[kind].request(said, message)


def _tail(secret: str) -> str:
    """Enough to know it again."""
    return f"…{secret[-4:]}" if len(secret) > 12 else "…"


def _address(said: Said) -> str:
    return f"{urlsplit(said['url']).hostname}/{_tail(said['url'])}"


def _json(url: str, body: Mapping[str, Any], **headers: str) -> Request:
    return Request(url, body, {"Content-Type": "application/json", "User-Agent": "Sickbay-Alerts", **headers})


def _slack(said: Said, message: Message) -> Request:
    """Escaped after Slack's three characters, so that no `<!channel>` of an agent's calls anybody."""
    text = message.whole.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _json(said["url"], {"text": text[:3_900], "mrkdwn": False, "unfurl_links": False})


def _discord(said: Said, message: Message) -> Request:
    mentions: dict[str, Any] = {"parse": []}
    return _json(said["url"], {"content": message.whole[:2_000], "allowed_mentions": mentions, "flags": 4})


def _teams(said: Said, message: Message) -> Request:
    """Text runs, which know no markup."""
    runs = [{"type": "TextRun", "text": line + "\n"} for line in message.whole.splitlines()]
    card: dict[str, Any] = {
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [{"type": "RichTextBlock", "inlines": runs}],
    }
    if message.link:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Open the incident", "url": message.link}]
    content = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
    return _json(said["url"], {"type": "message", "attachments": [content]})


def _ntfy(said: Said, message: Message) -> Request:
    more = {"Authorization": f"Bearer {said['token']}"} if said.get("token") else {}
    body = {"topic": said["topic"], "title": message.subject, "message": message.text[:3_500], "priority": 5}
    if message.is_over:
        body["priority"] = 3
    return _json(said["server"], {**body, **({"click": message.link} if message.link else {})}, **more)


def _telegram(said: Said, message: Message) -> Request:
    """Without a parse mode: text."""
    body = {
        "chat_id": said["chat"],
        "text": message.whole[:4_000],
        "link_preview_options": {"is_disabled": True},
    }
    return _json(f"{BASES['telegram']}/bot{said['token']}/sendMessage", body)


def _pagerduty(said: Said, message: Message) -> Request:
    """One alert an incident: what is told again joins it, and what is over resolves it."""
    base = BASES["pagerduty-eu" if said.get("region") == "eu" else "pagerduty"]
    body: dict[str, Any] = {
        "routing_key": said["key"],
        "event_action": "resolve" if message.is_over else "trigger",
        "dedup_key": message.thread,
    }
    if not message.is_over:
        details = {"text": message.text[:3_000]}
        body["payload"] = {
            "summary": message.subject[:1_000], "source": settings.SITE_URL, "severity": "critical",
            "custom_details": details,
        }  # fmt: skip
        body["links"] = [{"href": message.link, "text": "Open the incident"}] if message.link else []
    return _json(f"{base}/v2/enqueue", body)


CHANNELS: dict[str, Channel] = {
    one.kind: one
    for one in (
        Channel(
            Kind.SLACK, "Slack", "send",
            (Field("url", "Incoming webhook", "https://hooks.slack.com/services/T…/B…/…",
                   "Copy the whole address from Slack's page Incoming Webhooks: it begins with "
                   "https://hooks.slack.com/services/.",
                   hosts=("hooks.slack.com", "hooks.slack-gov.com")),),
            _address, _slack,
        ),
        Channel(
            Kind.PAGERDUTY, "PagerDuty", "bell",
            (Field("key", "Integration key", "32 letters and digits",
                   "Copy the integration key (Events API v2) of the service: 32 letters and digits.",
                   pattern=r"[0-9A-Za-z]{32}"),
             Field("region", "Region", "us", "Write us or eu.", pattern="us|eu", default="us")),
            lambda said: f"{said['region'].upper()}, key {_tail(said['key'])}", _pagerduty, resolves=True,
        ),
        Channel(
            Kind.NTFY, "ntfy", "bell",
            (Field("topic", "Topic", "payments-on-call-x7",
                   "Write the topic's name: letters, digits, _ and -, at most 64.",
                   pattern=r"[A-Za-z0-9_-]{1,64}"),
             Field("server", "Server", "https://ntfy.sh", "Write the server's address, like https://ntfy.sh.",
                   hosts=("*",), default="https://ntfy.sh"),
             Field("token", "Access token, optional", "tk_…", "Copy the token, which begins with tk_.",
                   pattern=r"tk_[A-Za-z0-9]{20,60}", is_optional=True)),
            lambda said: f"{urlsplit(said['server']).hostname}/{_tail(said['topic'])}", _ntfy,
        ),
        Channel(
            Kind.TEAMS, "Microsoft Teams", "send",
            (Field("url", "Workflow address", "https://….logic.azure.com/workflows/…",
                   "Copy the whole address that the workflow “Post to a channel when a webhook request is "
                   "received” shows.",
                   hosts=("logic.azure.com", "api.powerplatform.com", "webhook.office.com")),),
            _address, _teams,
        ),
        Channel(
            Kind.DISCORD, "Discord", "send",
            (Field("url", "Webhook", "https://discord.com/api/webhooks/…",
                   "Copy the webhook's whole address from the channel's settings, Integrations.",
                   hosts=("discord.com", "discordapp.com")),),
            _address, _discord,
        ),
        Channel(
            Kind.TELEGRAM, "Telegram", "send",
            (Field("token", "Bot token", "123456:ABC…", "Copy @BotFather's token: digits, a colon, letters.",
                   pattern=r"[0-9]{6,12}:[A-Za-z0-9_-]{30,50}"),
             Field("chat", "Chat", "-1001234567890", "Write the chat's number, or @ and a channel's name.",
                   pattern=r"-?[0-9]{4,20}|@[A-Za-z0-9_]{4,40}")),
            lambda said: f"chat {said['chat']}, bot {_tail(said['token'])}", _telegram,
        ),
    )
}  # fmt: skip
