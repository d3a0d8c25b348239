"""Where a check began to fail: the form, the two checkpoints, and what lies between them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict
from django.urls import reverse

from agents import access
from agents.access import Actor
from agents.models import Agent
from checkpoints import checks, judging, queries, since
from checkpoints.checks import Check
from checkpoints.judging import Line
from dashboard import phrasing
from dashboard.contexts import history, wrong
from dashboard.contexts.asked import words
from dashboard.contexts.standings import Named

OPS = [(op, word) for op, word in checks.WORDS.items()]
WHERES = [(checks.MEMORY, "Memory"), (checks.FILE, "A file")]
NAMED = 8


def page(agent: Agent, query: QueryDict, actor: Actor, now: datetime) -> dict[str, Any]:
    """The form, and for a check its answer."""
    check = read(query)
    error = checks.wrong_with(check) if "op" in query else ""
    instance = words(query.get("instance", ""), 63)
    newest = queries.newest_of(agent.pk, instance or None)
    line = judging.bisect(check, newest) if newest is not None and "op" in query and not error else None
    return {
        "check": check,
        "ops": OPS,
        "wheres": WHERES,
        "error": error,
        "instance": instance,
        "nothing": newest is None,
        "found": _found(agent, line, now) if line is not None else None,
        "may_watch": access.can(actor, "decide", agent),
        "history": reverse("agent_checkpoints", args=[agent.project.name, agent.name]),
    }


def read(query: QueryDict) -> Check:
    """The check of an address or a form."""
    return Check(
        path=words(query.get("path", ""), checks.LONGEST_PATH + 1).strip(),
        op=words(query.get("op", "equals"), 20),
        value=words(query.get("value", ""), checks.LONGEST_VALUE + 1),
        where=words(query.get("where", checks.MEMORY), 20),
    )


def address(agent: Agent, check: Check) -> str:
    """The page that asks this."""
    pairs = {"where": check.where, "path": check.path, "op": check.op, "value": check.value}
    own = reverse("agent_bisect", args=[agent.project.name, agent.name])
    return f"{own}?{urlencode({name: value for name, value in pairs.items() if value})}"


def _found(agent: Agent, line: Line, now: datetime) -> dict[str, Any]:
    project, good, bad = agent.project.name, line.good, None if line.is_nowhere else line.bad
    timeline = reverse("agent", args=[project, agent.name])
    actions = since.actions_between(good, bad) if good is not None and bad is not None else []
    ends = {"from": phrasing.iso(good.at)} if good is not None else {}
    ends |= {"to": phrasing.iso(bad.at + timedelta(seconds=1))} if bad is not None else {}
    return {
        "sentence": line.sentence,
        "is_found": line.found.ends == "found",
        "good": Named(good) if good is not None else None,
        "bad": Named(bad) if bad is not None else None,
        "actions": [(one, f"{timeline}?{urlencode({'entry': one.id})}") for one in actions[:NAMED]],
        "more": len(actions) > NAMED,
        "compare": history.address(project, good, bad) if good is not None and bad is not None else "",
        "timeline": f"{timeline}?{urlencode(ends)}" if bad is not None else "",
        "wrong": wrong.address(project, agent.name, str(bad.pk)) if bad is not None else "",
        "is_cut": line.is_cut,
        "now": now,
    }
