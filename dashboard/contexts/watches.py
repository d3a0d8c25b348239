"""The checks that are watched for an agent, and how its instances stand by them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agents import access
from agents.access import Actor
from agents.models import Agent
from checkpoints import queries
from checkpoints.models import Watch, Watched
from checkpoints.services import watches
from dashboard.contexts import bisect

SAID = {True: ("pass", "passes"), False: ("fail", "fails"), None: ("unknown", "cannot be judged")}


@dataclass(frozen=True, slots=True)
class Shown:
    """One watch. `outcome` is a mark's name; `since` it is so; `instance` is the worst of several."""

    watch: Watch
    words: str
    outcome: str
    said: str
    since: datetime | None
    instance: str
    href: str


def region(agent: Agent, actor: Actor, now: datetime) -> dict[str, Any]:
    """Two queries, however many there are."""
    return {
        "agent": agent,
        "project": agent.project,
        "standing": f"standing-{agent.pk}",
        "now": now,
        "watches": [_shown(agent, watch) for watch in queries.watches(agent.pk)],
        "may_watch": access.can(actor, "decide", agent),
    }


def _shown(agent: Agent, watch: Watch) -> Shown:
    seen = list(watch.seen.all())
    worst = min(seen, key=_badness, default=None)
    outcome, said = _said(watch, worst)
    check = watches.check_of(watch)
    named = worst.instance.name if worst is not None and len(seen) > 1 and worst.passes is not True else ""
    since = worst.since if worst is not None and watch.is_on else None
    return Shown(watch, check.words, outcome, said, since, named, bisect.address(agent, check))


def _badness(one: Watched) -> int:
    return {False: 0, None: 1, True: 2}[one.passes]


def _said(watch: Watch, worst: Watched | None) -> tuple[str, str]:
    if not watch.is_on:
        return "none", "off"
    if worst is None:
        return "none", "not judged yet"
    return SAID[worst.passes]
