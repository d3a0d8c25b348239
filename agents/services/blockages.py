"""Blocked: nothing but transient errors for ten minutes, or twenty of them in a row.

Counted in the instance's row, which the caller has locked; the watchdog opens the incident and closes it at
the first success. The agent is not paused, and its budget is untouched.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Literal

from agents.models import Instance, Status

AFTER = dt.timedelta(minutes=10)
ATTEMPTS = 20
NOTHING_ELSE, UNKNOWN = ": nothing but transient errors", "it"

Ended = Literal["ok", "failed", "transient"]


def note(instance: Instance, actions: Iterable[tuple[dt.datetime, Ended]]) -> None:
    """Take over how the instance's actions ended, oldest first."""
    since, transients = instance.blocked_since, instance.transients
    for at, ended in actions:
        if ended == "transient":
            since, transients = since or at, transients + 1
        elif ended == "ok" or instance.status != Status.BLOCKED:
            since, transients = None, 0
    if (since, transients) != (instance.blocked_since, instance.transients):
        instance.blocked_since, instance.transients = since, transients
        Instance.objects.filter(pk=instance.pk).update(blocked_since=since, transients=transients)


def is_blocked(instance: Instance, now: dt.datetime) -> bool:
    if instance.reported == Status.BLOCKED:
        return True
    if instance.blocked_since is None:
        return False
    return instance.transients >= ATTEMPTS or now - instance.blocked_since >= AFTER


def tool_of(title: str) -> str:
    """The tool that an incident of this title is about, if anybody knew it."""
    tool = title.removesuffix(NOTHING_ELSE)
    return "" if tool in (title, UNKNOWN) else tool
