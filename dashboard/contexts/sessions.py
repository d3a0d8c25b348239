"""The sessions page: each with its browser, where it was opened from, and when it was last used."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agents.models import User
from dashboard import browsers, sessions


@dataclass(frozen=True, slots=True)
class Row:
    pk: int
    browser: str
    address: str
    opened_at: datetime
    used_at: datetime
    is_this: bool


def page(user: User, here: str | None, now: datetime) -> dict[str, Any]:
    """This one first."""
    rows = [
        Row(
            pk=one.pk,
            browser=browsers.named(one.user_agent),
            address="" if one.ip == sessions.NOWHERE else one.ip,
            opened_at=one.created_at,
            used_at=one.last_seen_at,
            is_this=one.session_key == here,
        )
        for one in sessions.of(user)
    ]
    return {"rows": sorted(rows, key=lambda row: not row.is_this), "others": len(rows) - 1, "now": now}
