"""Alert targets: an e-mail address or a signed webhook, by a typed form each; no raw URLs of anything else.

A webhook's secret is made here, shown once, and kept encrypted with a key that is derived from SECRET_KEY.
A new address gets a new secret: whoever may change where messages go must not get them signed for elsewhere.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from urllib.parse import urlsplit

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import QuerySet

from agents.access import Actor
from agents.announce import announce
from agents.models import AlertTarget, Outbox, User
from agents.services import audit, channels, outbox, webhooks
from agents.services.snapshots import text

CHANGEABLE = ("label", "address", "secret", "enabled", "changes", "daily_hour")
HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?\.?|\[[0-9A-Fa-f:.]+\]")


class Refused(ValueError):
    """This address cannot be a target; the message says what to write instead."""


@dataclass(frozen=True)
class Kept:
    """The target, and its webhook secret when a new one was made: it can be shown this once."""

    target: AlertTarget
    secret: str | None


@transaction.atomic
def add_channel(
    *,
    actor: Actor,
    kind: str,
    label: str,
    said: Mapping[str, str],
    now: dt.datetime,
    pk: int | None = None,
    daily_hour: int | None = None,
    person: User | None = None,
) -> AlertTarget | None:
    """A channel of another service, with everything that it asks for; None when `pk` is not there.

    With `pk` it is kept anew: what was there before is gone.
    """
    kept = _read(kind, said)
    outline = channels.CHANNELS[kind].outline(kept)
    if pk is None:
        target = AlertTarget(project_id=actor.project_id, kind=kind, created_at=now, person=person)
    else:
        found = _of(actor, pk, person).select_for_update().filter(kind=kind).first()
        if found is None:
            return None
        target = found
    target.label = text(label.strip(), 100) or channels.CHANNELS[kind].title
    target.address, target.secret, target.daily_hour = outline, encrypt(json.dumps(kept)), daily_hour
    target.heard_at, target.failed_at, target.failed_why = None, None, ""
    target.save()
    _written_down(actor, "add target" if pk is None else "change target", target, now)
    return target


def _read(kind: str, said: Mapping[str, str]) -> dict[str, str]:
    try:
        kept = channels.read(kind, said)
    except channels.Wrong as wrong:
        raise Refused(str(wrong)) from wrong
    for address in (kept[field.name] for field in channels.CHANNELS[kind].fields if field.hosts):
        _not_ours(AlertTarget.Kind.WEBHOOK, address)
    return kept


@transaction.atomic
def add(
    *,
    actor: Actor,
    kind: str,
    label: str,
    address: str,
    now: dt.datetime,
    daily_hour: int | None = None,
    person: User | None = None,
) -> Kept:
    address = checked(kind, address)
    _not_ours(kind, address)
    secret = new_secret() if kind == AlertTarget.Kind.WEBHOOK else None
    target = AlertTarget.objects.create(
        project_id=actor.project_id,
        person=person,
        kind=kind,
        label=_label(kind, label, address),
        address=address,
        secret=encrypt(secret) if secret else None,
        daily_hour=daily_hour,
        created_at=now,
    )
    _written_down(actor, "add target", target, now)
    return Kept(target, secret)


@transaction.atomic
def change(
    *,
    actor: Actor,
    pk: int,
    label: str,
    address: str,
    enabled: bool,
    now: dt.datetime,
    changes: bool | None = None,
    daily_hour: int | None = None,
) -> Kept | None:
    """None when it is not there, or another project's."""
    target = _of(actor, pk, None).select_for_update().first()
    if target is None:
        return None
    address, secret = checked(target.kind, address), None
    if address != target.address:
        _not_ours(target.kind, address)
        target.address, target.secret = address, None
        target.heard_at, target.failed_at, target.failed_why = None, None, ""
        if target.kind == AlertTarget.Kind.WEBHOOK:
            secret = new_secret()
            target.secret = encrypt(secret)
    target.label, target.enabled = _label(target.kind, label, address), enabled
    if changes is not None and target.kind == AlertTarget.Kind.WEBHOOK:
        target.changes = changes
    target.daily_hour = daily_hour
    target.save(update_fields=[*CHANGEABLE, "heard_at", "failed_at", "failed_why"])
    _written_down(actor, "change target", target, now)
    return Kept(target, secret)


@transaction.atomic
def turn(*, actor: Actor, pk: int, on: bool, now: dt.datetime, person: User | None = None) -> bool:
    """On or off; all else stays. False when it is not there."""
    target = _of(actor, pk, person).first()
    if target is None:
        return False
    if AlertTarget.objects.filter(pk=pk, enabled=not on).update(enabled=on):
        target.enabled = on
        _written_down(actor, "change target", target, now)
    return True


@transaction.atomic
def remove(*, actor: Actor, pk: int, now: dt.datetime, person: User | None = None) -> bool:
    target = _of(actor, pk, person).first()
    if target is None:
        return False
    removed = copy(target)
    target.delete()
    _written_down(actor, "remove target", removed, now)
    return True


@transaction.atomic
def test(*, actor: Actor, pk: int, now: dt.datetime, person: User | None = None) -> Outbox | None:
    """Send a test: an outbox row like any other, so that it proves the whole way."""
    target = _of(actor, pk, person).first()
    if target is None:
        return None
    key = f"test-{target.pk}-{secrets.token_hex(8)}"
    row = outbox.put(target=target, about=Outbox.About.TEST, key=key, now=now)
    _written_down(actor, "test target", target, now)
    return row


def _of(actor: Actor, pk: int, person: User | None) -> QuerySet[AlertTarget]:
    """A channel of the project, or one of this person's own ways: never somebody else's."""
    return AlertTarget.objects.filter(pk=pk, project_id=actor.project_id, person=person)


def checked(kind: str, address: str) -> str:
    """The address as it is kept, or Refused."""
    address = address.strip()
    if kind == AlertTarget.Kind.EMAIL:
        try:
            validate_email(address)
        except ValidationError as error:
            raise Refused("Write one e-mail address, like oncall@example.com.") from error
        return address
    if kind != AlertTarget.Kind.WEBHOOK:
        raise Refused("A target is an e-mail address or a webhook.")
    return _checked_url(address)


def _label(kind: str, label: str, address: str) -> str:
    """Everybody sees it, and the log: a webhook without one has its host; the rest may be secret."""
    host = urlsplit(address).hostname if kind == AlertTarget.Kind.WEBHOOK else None
    return text(label.strip(), 100) or text(host or address, 100)


def new_secret() -> str:
    """A Standard Webhooks secret: 24 random bytes."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


def encrypt(secret: str) -> bytes:
    return _box().encrypt(secret.encode())


def decrypt(target: AlertTarget) -> str | None:
    """The target's secret; None when it has none, or when it was kept under another SECRET_KEY."""
    return None if target.secret is None else opened(bytes(target.secret))


def opened(sealed: bytes) -> str | None:
    """What was encrypted; None when that was under another SECRET_KEY."""
    try:
        return _box().decrypt(sealed).decode()
    except InvalidToken:
        return None


def _checked_url(address: str) -> str:
    """Its shape alone: where it leads is checked when it is called, because names move."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise Refused("This is no address; write https://host/path.") from error
    host = parts.netloc.rpartition(":")[0] if port is not None else parts.netloc
    if parts.scheme not in ("https", "http") or not HOST.fullmatch(host) or port == 0:
        raise Refused(
            "Write https://host/path or http://host/path; no user name or password, no other scheme."
        )
    if len(address) > 500 or not address.isascii() or not address.isprintable() or " " in address:
        raise Refused("An address has at most 500 plain characters and no spaces.")
    return address.partition("#")[0]


def _not_ours(kind: str, address: str) -> None:
    """What leads into our own network by itself is refused at once; names are resolved when called."""
    host = urlsplit(address).hostname if kind == AlertTarget.Kind.WEBHOOK else None
    if host and not webhooks.may_lead_out(host):
        raise Refused(
            "This leads into a private network. To allow it, name that network in SICKBAY_ALERT_ALLOW_CIDRS"
            " and start the server again."
        )


def _box() -> Fernet:
    key = hashlib.sha256(b"sickbay alert targets\0" + settings.SECRET_KEY.encode()).digest()
    return Fernet(base64.urlsafe_b64encode(key))


def _written_down(actor: Actor, verb: str, target: AlertTarget, now: dt.datetime) -> None:
    what = "target" if target.person_id is None else "own way"
    announce(f"project-{target.project_id}", int(now.timestamp() * 1000))
    audit.record(
        project_id=target.project_id,
        actor=actor.name,
        verb=verb,
        object=f"{what} {target.pk} ({target.kind} {target.label})",
        reason="",
        saw={"enabled": target.enabled},
        now=now,
    )
