"""Programs' rights: `sb_<public id>_<secret>`, shown once; what is kept cannot be turned back into it.

The public id finds the row, the sha256 of the secret is compared in constant time. A secret is 32 random
bytes, so a slow hash would protect nothing. `last_used_at` is written at most once a minute: the update
says so itself, and needs no lock. A form that is sent twice names its token's `id`: the second time makes
none, and cannot show the first one again. Making and revoking stand in the audit log; their text does not.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from django.db import transaction
from django.db.models import Q

from agents.models import Project, Scope, Token, User
from agents.services import audit, rows

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
SHAPE = re.compile(r"sb_([0-9A-Za-z]{12})_([0-9A-Za-z]{43})")
NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class Made:
    """`text` is the whole token, this once; None when this very token was made before."""

    token: Token
    text: str | None


@transaction.atomic
def make(
    *,
    project: Project,
    scope: str,
    label: str,
    by: str,
    now: datetime,
    user: User | None = None,
    expires_at: datetime | None = None,
    id: str | None = None,
) -> Made:
    secret = base62(secrets.token_bytes(32))
    token, is_new = Token.objects.get_or_create(
        public_id=id or new_id(),
        defaults={
            "project": project,
            "digest": digest_of(secret),
            "scope": Scope(scope),
            "label": label,
            "created_at": now,
            "created_by": user,
            "expires_at": expires_at,
        },
    )
    if not is_new:
        return Made(token, None)
    saw = {"scope": str(token.scope), "label": label}
    audit.record(
        project_id=project.pk,
        actor=by,
        verb="make token",
        object=f"token {token.public_id}",
        reason="",
        saw=saw,
        now=now,
    )
    return Made(token, f"sb_{token.public_id}_{secret}")


def find(text: str, now: datetime) -> Token | None:
    """The token that this text is, with its project, or None: unknown, expired, revoked, malformed."""
    shape = SHAPE.fullmatch(text)
    if shape is None:
        return None
    token = _known(shape[1])
    if token is None or not hmac.compare_digest(bytes(token.digest), digest_of(shape[2])):
        return None
    if token.revoked_at is not None or (token.expires_at is not None and token.expires_at <= now):
        return None
    note_use(token, now)
    return token


def _known(public_id: str) -> Token | None:
    row = rows.one(_finding(), [public_id])
    if row is None:
        return None
    token = rows.build(Token, row[: rows.width(Token)])
    token.project = rows.build(Project, row[rows.width(Token) :])
    return token


@cache
def _finding() -> str:
    return (
        f"SELECT {rows.columns(Token, 't')}, {rows.columns(Project, 'p')} FROM agents_token t"
        " JOIN agents_project p ON p.id = t.project_id WHERE t.public_id = %s"
    )


def note_use(token: Token, now: datetime) -> None:
    if token.last_used_at is not None and now - token.last_used_at < NOTED_EVERY:
        return
    long_ago = Q(last_used_at=None) | Q(last_used_at__lte=now - NOTED_EVERY)
    Token.objects.filter(long_ago, pk=token.pk).update(last_used_at=now)


@transaction.atomic
def revoke(*, project: Project, pk: int, by: str, now: datetime) -> bool:
    """False when there is no such token in this project, or somebody had revoked it before."""
    if not Token.objects.filter(pk=pk, project=project, revoked_at=None).update(revoked_at=now):
        return False
    token = Token.objects.get(pk=pk)
    audit.record(
        project_id=project.pk,
        actor=by,
        verb="revoke token",
        object=f"token {token.public_id}",
        reason="",
        saw={"label": token.label},
        now=now,
    )
    return True


def new_id() -> str:
    return "".join(secrets.choice(BASE62) for _ in range(12))


def digest_of(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def base62(data: bytes) -> str:
    """32 bytes as 43 letters and digits."""
    number, letters = int.from_bytes(data), []
    while number:
        number, rest = divmod(number, 62)
        letters.append(BASE62[rest])
    return "".join(reversed(letters)).rjust(43, "0")
