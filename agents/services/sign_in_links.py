"""One-time links: how the first administrator comes in, and whoever lost their password on this machine.

There is no default account. The first administrator's row is made with the link, without a usable password
and under a name that no mail reaches; taking the link up gives it an address and a password. A newer link
ends the older ones of the same person, and only one of two clicks takes a link up.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from django.db import transaction

from agents.models import SignInLink, User

LASTS = timedelta(days=1)
NOBODY_YET = "first-administrator@sickbay.invalid"


def first_administrator() -> User | None:
    """Who the first link is for; None as soon as an administrator can sign in."""
    administrators = User.objects.filter(is_superuser=True, is_active=True)
    if any(user.has_usable_password() for user in administrators):
        return None
    user = administrators.filter(email=NOBODY_YET).first()
    return user or User.objects.create_superuser(NOBODY_YET)


def only_administrator() -> User | None:
    """Whoever administers everything alone; None when nobody does, or several do."""
    found = [
        user for user in User.objects.filter(is_superuser=True, is_active=True) if user.has_usable_password()
    ]
    return found[0] if len(found) == 1 else None


@transaction.atomic
def issue(*, user: User, now: datetime) -> str:
    """The secret part of the link's address."""
    end(user=user, now=now)
    secret = secrets.token_urlsafe(32)
    SignInLink.objects.create(user=user, digest=digest_of(secret), expires_at=now + LASTS)
    return secret


def end(*, user: User, now: datetime) -> None:
    """Those that were not taken up: there is a newer one, or another way in."""
    SignInLink.objects.filter(user=user, used_at=None).update(expires_at=now)


def find(secret: str, now: datetime) -> SignInLink | None:
    found = SignInLink.objects.select_related("user").filter(digest=digest_of(secret))
    return found.filter(used_at=None, expires_at__gt=now, user__is_active=True).first()


@transaction.atomic
def take_up(*, link: SignInLink, email: str, password: str, now: datetime) -> bool:
    """False when the link was taken up, or ended, a moment ago."""
    if not SignInLink.objects.filter(pk=link.pk, used_at=None, expires_at__gt=now).update(used_at=now):
        return False
    user = link.user
    user.email = email
    user.set_password(password)
    user.save(update_fields=["email", "password"])
    return True


def digest_of(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
