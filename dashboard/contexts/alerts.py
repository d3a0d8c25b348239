"""The alerts page: who would be told, what became of the messages, and two forms."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from agents import access
from agents.access import Actor
from agents.models import AlertTarget, Attempt, Outbox, Project
from agents.queries import targets
from agents.services import channels
from agents.services.channels import Channel, Field
from agents.services.targets import Kept

NO_MAIL = (
    "No mail server is configured, so no e-mail is sent. Set SICKBAY_SMTP_URL, like "
    "smtp+starttls://user:password@host:587, and start the server again."
)
ABOUT = {
    Outbox.About.OPENED: "Opened",
    Outbox.About.AGAIN: "Again",
    Outbox.About.UNSEEN: "Nobody has it",
    Outbox.About.ASSIGNED: "Assigned",
    Outbox.About.JOINED: "More agents",
    Outbox.About.CLOSED: "Closed",
    Outbox.About.RESOLVED: "Decided",
    Outbox.About.CHANGED: "Changed",
    Outbox.About.TEST: "Test",
    Outbox.About.DAILY: "Daily test",
    Outbox.About.BROKEN: "Alerting",
}


HOURS = [("", "No"), *((str(hour), f"From {hour:02}:00 UTC") for hour in range(24))]


@dataclass(frozen=True, slots=True)
class Look:
    """How a kind of target looks, and how its form asks."""

    icon: str
    title: str
    placeholder: str
    type: str


KINDS = {
    AlertTarget.Kind.EMAIL: Look(
        icon="mail", title="Add an e-mail address", placeholder="oncall@example.com", type="email"
    ),
    AlertTarget.Kind.WEBHOOK: Look(
        icon="webhook",
        title="Add a signed webhook",
        placeholder="https://example.com/hooks/sickbay",
        type="url",
    ),
}


@dataclass(frozen=True, slots=True)
class ChannelForm:
    """The form of a channel of another service; what was typed into a refused one is asked for again."""

    kind: str
    title: str
    icon: str
    fields: list[tuple[str, Field]]  # the id in the page
    label: str
    error: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """One message: where it stands in words, and every attempt."""

    row: Outbox
    about: str
    words: str
    tone: str
    icon: str
    at: datetime | None
    tries: list[Attempt]


@dataclass(frozen=True, slots=True)
class Form:
    """The form that adds a target of one kind, as it was last typed."""

    kind: str
    look: Look
    label: str
    address: str
    error: str

    @property
    def label_id(self) -> str:
        return f"{self.kind}-label"

    @property
    def address_id(self) -> str:
        return f"{self.kind}-address"


@dataclass(frozen=True, slots=True)
class Typed:
    """What a refused form held: whose it is (a kind, or a target's number), and why it was refused."""

    form: str
    label: str
    address: str
    error: str


@dataclass(frozen=True, slots=True)
class Target:
    target: AlertTarget
    icon: str
    address: str
    test: Receipt | None
    lacks: str
    daily: str
    service: str = ""
    fields: list[tuple[str, Field]] = field(default_factory=list)

    @property
    def id(self) -> str:
        return str(self.target.pk)


def page(
    project: Project, actor: Actor, now: datetime, *, kept: Kept | None = None, typed: Typed | None = None
) -> dict[str, Any]:
    """The page; `kept` with a secret shows it this once, `typed` is a form that was refused."""
    return {
        "kept": kept,
        "typed": typed,
        "channels": [_channel_form(one, typed) for one in channels.CHANNELS.values()],
        "forms": [_form(kind, typed if typed and typed.form == kind else None) for kind in KINDS],
        **listed(project, actor, now),
    }


def listed(project: Project, actor: Actor, now: datetime) -> dict[str, Any]:
    """Targets with their last test, and the newest receipts: the part that moves by itself."""
    found = targets.of_project(project.pk)
    tests = targets.newest_tests(found)
    may = access.can(actor, "targets", project)
    return {
        "project": project,
        "now": now,
        "may_change": may,
        "told": any(target.enabled and not _lacks(target) for target in found),
        "any_on": any(target.enabled for target in found),
        "targets": [drawn(target, tests.get(target.pk), may) for target in found],
        "hours": HOURS,
        "receipts": [receipt(row) for row in targets.receipts(project.pk)],
        "topic": f"project-{project.pk}",
    }


def receipt(row: Outbox) -> Receipt:
    tries = list(row.tries.all())
    last = tries[0] if tries else None
    words, tone, icon = _state(row, last)
    return Receipt(
        row, ABOUT[Outbox.About(row.about)], words, tone, icon, last.ended_at if last else None, tries
    )


def _state(row: Outbox, last: Attempt | None) -> tuple[str, str, str]:
    if row.state == Outbox.State.SENT:
        return "handed over", "good", "circle-check"
    why = last.why if last and last.outcome == Attempt.Outcome.FAILED else ""
    if row.state == Outbox.State.GIVEN_UP:
        return f"not sent: {why}" if why else "not sent", "bad", "circle-x"
    if row.state == Outbox.State.CLAIMED:
        return "being sent", "quiet", "send"
    return (
        (f"tried, comes again: {why}", "warn", "triangle-alert") if why else ("on its way", "quiet", "send")
    )


def _channel_form(one: Channel, typed: Typed | None) -> ChannelForm:
    mine = typed if typed is not None and typed.form == one.kind else None
    fields = [(f"{one.kind}-{field.name}", field) for field in one.fields]
    label, error = (mine.label, mine.error) if mine else ("", "")
    return ChannelForm(one.kind, one.title, one.icon, fields, label, error)


def _form(kind: AlertTarget.Kind, typed: Typed | None) -> Form:
    label, address, error = (typed.label, typed.address, typed.error) if typed else ("", "", "")
    return Form(kind, KINDS[kind], label, address, error)


def drawn(target: AlertTarget, test: Outbox | None, may_change: bool) -> Target:
    address = target.address if may_change else _outline(target)
    channel = channels.CHANNELS.get(target.kind)
    icon = channel.icon if channel else KINDS[AlertTarget.Kind(target.kind)].icon
    fields = [(f"{field.name}-{target.pk}", field) for field in channel.fields] if channel else []
    tested = receipt(test) if test else None
    daily = "" if target.daily_hour is None else str(target.daily_hour)
    title = channel.title if channel else ""
    return Target(target, icon, address, tested, _lacks(target), daily, title, fields)


def _lacks(target: AlertTarget) -> str:
    """What keeps it from being told although it is on."""
    without_mail = target.kind == AlertTarget.Kind.EMAIL and not settings.EMAIL_HOST
    return NO_MAIL if target.enabled and without_mail else ""


def _outline(target: AlertTarget) -> str:
    """Enough to know it again: the path of a webhook is often a secret itself."""
    if target.kind in channels.CHANNELS:
        return target.address
    if target.kind == AlertTarget.Kind.WEBHOOK:
        return f"{urlsplit(target.address).hostname or ''}/…"
    name, _, host = target.address.partition("@")
    return f"{name[:1]}…@{host}"
