"""Programs' rights: `sb_<public id>_<secret>`, shown once; what is kept cannot be turned back into it.

The public id finds the row, the sha256 of the secret is compared in constant time. A secret is 32 random
bytes, so a slow hash would protect nothing. `last_used_at` is written at most once a minute: the update
says so itself, and needs no lock.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
from datetime import datetime, timedelta

from django.db.models import Q

from agents.models import Project, Scope, Token, User

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
SHAPE = re.compile(r"sb_([0-9A-Za-z]{12})_([0-9A-Za-z]{43})")
NOTED_EVERY = timedelta(minutes=1)


def issue(
    *,
    project: Project,
    scope: str,
    by: User | None,
    label: str,
    now: datetime,
    expires_at: datetime | None = None,
) -> str:
    """A new token's text; nobody can show it again."""
    public_id = "".join(secrets.choice(BASE62) for _ in range(12))
    secret = base62(secrets.token_bytes(32))
    Token.objects.create(
        project=project,
        public_id=public_id,
        digest=digest_of(secret),
        scope=Scope(scope),
        label=label,
        created_at=now,
        created_by=by,
        expires_at=expires_at,
    )
    return f"sb_{public_id}_{secret}"


def check(text: str, now: datetime) -> Token | None:
    """The token that this text is, with its project, or None: unknown, expired, revoked, malformed."""
    shape = SHAPE.fullmatch(text)
    if shape is None:
        return None
    token = Token.objects.select_related("project").filter(public_id=shape[1]).first()
    if token is None or not hmac.compare_digest(bytes(token.digest), digest_of(shape[2])):
        return None
    if token.revoked_at is not None or (token.expires_at is not None and token.expires_at <= now):
        return None
    note_use(token, now)
    return token


def note_use(token: Token, now: datetime) -> None:
    if token.last_used_at is not None and now - token.last_used_at < NOTED_EVERY:
        return
    long_ago = Q(last_used_at=None) | Q(last_used_at__lte=now - NOTED_EVERY)
    Token.objects.filter(long_ago, pk=token.pk).update(last_used_at=now)


def revoke(*, token: Token, now: datetime) -> bool:
    """False when somebody had revoked it before."""
    return Token.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now) == 1


def digest_of(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def base62(data: bytes) -> str:
    """32 bytes as 43 letters and digits."""
    number, letters = int.from_bytes(data), []
    while number:
        number, rest = divmod(number, 62)
        letters.append(BASE62[rest])
    return "".join(reversed(letters)).rjust(43, "0")
