"""*Since when?* in words: the checkpoint that has it first, and what was done just before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.urls import reverse

from agents.models import Entry
from checkpoints import proposed
from checkpoints.compared import Pair
from checkpoints.diffs.items import Path
from checkpoints.since import Since
from dashboard import phrasing
from dashboard.contexts import bisect, history, wrong
from dashboard.contexts.comparing import paths
from dashboard.contexts.standings import Named

NAMED = 3


@dataclass(frozen=True, slots=True)
class Action:
    """One that was done between the two."""

    entry: Entry
    href: str


@dataclass(frozen=True, slots=True)
class Shown:
    """`back` goes on where the walk met its bound; `watch` asks for a check that it is as it was before."""

    what: str
    first: Named
    is_there: bool
    is_bound: bool
    begins: bool
    actions: list[Action]
    more: str
    compare: str
    timeline: str
    wrong: str
    watch: str
    back: str
    looked: str
    now: datetime


def shown(pair: Pair, found: Since, path: bytes | None, place: Path | None, now: datetime) -> Shown:
    agent, first, before = pair.new.agent, found.first, found.before
    project = agent.project.name
    timeline = reverse("agent", args=[project, agent.name])
    where = {"path": paths.file_written(path)} if path is not None else {"at": paths.written(place)}
    own = reverse("compare_since", args=[project, pair.old.pk, pair.new.pk])
    times = {"from": phrasing.iso(before.at)} if before is not None else {}
    times["to"] = phrasing.iso(first.at + timedelta(seconds=1))
    left = len(found.actions) - NAMED
    check = None
    if before is not None:
        check = proposed.file(before, path) if path is not None else proposed.value(before, place or ())
    return Shown(
        what="file" if path is not None else "value",
        first=Named(first),
        is_there=found.is_there,
        is_bound=found.is_bound,
        begins=before is None and not found.is_bound,
        actions=[Action(one, f"{timeline}?{urlencode({'entry': one.id})}") for one in found.actions[:NAMED]],
        more=f"{left}{'+' if found.more_actions else ''} more" if left > 0 else "",
        compare=history.address(project, before, first) if before is not None else "",
        timeline=f"{timeline}?{urlencode(times)}",
        wrong=wrong.address(project, agent.name, str(first.pk)),
        watch=f"{bisect.address(agent, check)}#watch" if check is not None else "",
        back=f"{own}?{urlencode({**where, 'back': first.pk})}" if found.is_bound else "",
        looked=phrasing.some(found.looked_at, "checkpoint"),
        now=now,
    )
