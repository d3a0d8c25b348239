"""A person's sessions: where each was opened, when it was last used, and its end.

The rows are allauth's (`usersessions`), and so is the end of one. Its activity tracking is not used: that is
four queries on every request; here it is one statement a minute for each session. Its list asks three times
for each session; here all are asked about at once, and in the same way as the browsers' sockets are.

A session that has ended loses its pages at once and its sockets at their next look, within three seconds.
A changed password, or a second factor taken away, ends all others of that person.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Any

from allauth.account import signals
from allauth.account.adapter import get_adapter as account_adapter
from allauth.mfa.signals import authenticator_removed
from allauth.usersessions.adapter import get_adapter
from allauth.usersessions.models import UserSession
from django.contrib.auth.signals import user_logged_in
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.deprecation import MiddlewareMixin

from agents.models import User
from agents.queries import topics

EVERY_S = 60.0
REMEMBERED = 10_000
NOWHERE = "0.0.0.0"  # a server behind a socket of the file system is not told
_noted: OrderedDict[str, float] = OrderedDict()


class Noting(MiddlewareMixin):
    """Notes who was here, once a minute; only where the session was looked at anyway."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        session = getattr(request, "session", None)
        if session is not None and session.accessed and session.session_key and request.user.is_authenticated:
            note(request, request.user)
        return response


def note(request: HttpRequest, user: User) -> None:
    key, now = request.session.session_key, time.monotonic()
    if key is None or now - _noted.get(key, -EVERY_S) < EVERY_S:
        return
    _noted[key] = now
    _noted.move_to_end(key)
    while len(_noted) > REMEMBERED:
        _noted.popitem(last=False)
    agent = request.headers.get("User-Agent", "").replace("\0", "")[:200]
    row = UserSession(
        user=user, session_key=key, ip=_address(request), user_agent=agent, last_seen_at=timezone.now()
    )
    UserSession.objects.bulk_create(
        [row], update_conflicts=True, unique_fields=["session_key"],
        update_fields=["user", "ip", "user_agent", "last_seen_at"],
    )  # fmt: skip


def of(user: User) -> list[UserSession]:
    """Those that still open pages, the one that was used last first."""
    rows = list(UserSession.objects.filter(user=user).order_by("-last_seen_at", "-pk"))
    alive = topics.rights_of([row.session_key for row in rows])
    return [row for row in rows if row.session_key in alive and alive[row.session_key].user_id == user.pk]


def end(*, user: User, pk: int, here: str | None) -> bool:
    """One of theirs; False when it had ended. The one that asks is ended by signing out."""
    rows = UserSession.objects.filter(user=user, pk=pk).exclude(session_key=here or "")
    found = list(rows)
    get_adapter().end_sessions(found)
    return bool(found)


def end_others(*, user: User, here: str | None) -> int:
    """All but the one that asks; how many."""
    found = list(UserSession.objects.filter(user=user).exclude(session_key=here or ""))
    get_adapter().end_sessions(found)
    return len(found)


def connect() -> None:
    """Hear of signing in, and of what ends the others."""
    user_logged_in.connect(_signed_in)
    for signal in (signals.password_changed, signals.password_set, authenticator_removed):
        signal.connect(_way_in_changed)


def _signed_in(sender: Any, request: HttpRequest, user: User, **more: Any) -> None:
    note(request, user)


def _way_in_changed(sender: Any, request: HttpRequest, user: User, **more: Any) -> None:
    end_others(user=user, here=request.session.session_key)


def _address(request: HttpRequest) -> str:
    try:
        address: str = account_adapter().get_client_ip(request)
    except PermissionDenied:
        return NOWHERE
    return address
