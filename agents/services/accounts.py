"""What each instance's budget has spent: the agent's own account and what only the server saw.

The agent's snapshot is the truth for its own failures; the server adds a crash or a silence, and the
failures of the agent's other instances for the hour. Both go back with every answer, and the larger
holds. `Instance.account` is {"wire": the last dump, "at": when, "added": [[id, name, at], …]}; an
addition is dropped as soon as the agent's own account has seen it, or has begun a new number.

A silence that turns out to be a crash is one failure: the crash's id takes its place.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import orjson
from django.db import connection

from agents.models import Instance
from sickbay import budget

OTHERS_KEPT = 200
OTHERS = "SELECT account::text FROM agents_instance WHERE agent_id = %s AND hourly > 0 AND id <> %s"


def store(instance: Instance, wire: dict[str, Any] | None, now: dt.datetime) -> None:
    """Take over the agent's account into `instance` (not saved here); a broken one changes nothing."""
    at = now.timestamp()
    if wire is not None:
        try:
            account = budget.load(wire, at)
        except ValueError:
            return
        before = instance.account.get("wire", {}).get("number")
        added = instance.account.get("added", []) if before in (None, account.number) else []
        added = [a for a in added if a[0] not in account.seen and not _became_a_crash(a[0], account.seen)]
        instance.account = {"wire": budget.dump(account, at), "at": at, "added": added}
    _denormalise(instance, now)


def add(instance: Instance, failure: budget.Failure, now: dt.datetime) -> bool:
    """Count a failure that only the server saw, once, and save it; false when it was known."""
    seen = instance.account.get("wire", {}).get("seen", [])
    added = instance.account.get("added", [])
    if failure.id in seen or failure.id in [a[0] for a in added] or _became_a_crash(failure.id, seen):
        return False
    added = [a for a in added if not _became_a_crash(a[0], [failure.id])]
    instance.account = {**instance.account, "added": [*added, [failure.id, failure.name, failure.at]]}
    _denormalise(instance, now)
    instance.save(update_fields=["account", "consecutive", "hourly"])
    return True


def merged_for_wire(instance: Instance, now: dt.datetime) -> dict[str, Any]:
    """What the agent must add to its own account, and the sums with it."""
    at = now.timestamp()
    own, others = _merged(instance, now), _others(instance, at)
    both = budget.merged(own, (), others)
    added = instance.account.get("added", [])
    return {
        "number": own.number,
        "added": [[id, name, max(0.0, at - then)] for id, name, then in added if at - then < budget.HOUR],
        "others": [[id, max(0.0, at - then)] for id, then in others],
        "consecutive": budget.consecutive(both),
        "hourly": budget.hourly(both, at),
    }


def spent(instance: Instance, limits: budget.Budget, now: dt.datetime) -> str:
    """Why the budget is spent, in the words of the SDK; nothing while it is not."""
    at = now.timestamp()
    account = budget.merged(_merged(instance, now), (), _others(instance, at))
    limit = budget.spent(account, limits, at)
    return budget.sentence(limit, account, limits, at) if limit else ""


def on_probation(instance: Instance) -> bool:
    return bool(instance.account.get("wire", {}).get("probation"))


def _became_a_crash(id: str, seen: list[str] | tuple[str, ...]) -> bool:
    """Silence ids are `silence-<run>-<n>`, a crash's is `crash-<run>`."""
    kind, _, rest = id.partition("-")
    return kind == "silence" and f"crash-{rest.partition('-')[0]}" in seen


def _merged(instance: Instance, now: dt.datetime) -> budget.Account:
    """The stored account on the server's clock, with what was added."""
    kept = instance.account
    account = budget.load(kept["wire"], kept["at"]) if kept.get("wire") else budget.Account()
    added = [budget.Failure(id, name, at) for id, name, at in kept.get("added", [])]
    return budget.rolled(budget.merged(account, added, ()), now.timestamp())


def _others(instance: Instance, at: float) -> list[tuple[str, float]]:
    """The last hour's failures of the agent's other instances, newest first."""
    found: list[tuple[str, float]] = []
    for account in _accounts_of_others(instance):
        then = account.get("at", at)
        own = [(id, then - age) for id, age in account.get("wire", {}).get("hour", [])]
        found += own + [(id, when) for id, _, when in account.get("added", [])]
    return sorted((f for f in found if at - f[1] < budget.HOUR), key=lambda f: -f[1])[:OTHERS_KEPT]


def _accounts_of_others(instance: Instance) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(OTHERS, [instance.agent_id, instance.pk])
        return [orjson.loads(text) for (text,) in cursor.fetchall()]


def _denormalise(instance: Instance, now: dt.datetime) -> None:
    merged = _merged(instance, now)
    instance.consecutive = budget.consecutive(merged)
    instance.hourly = budget.hourly(merged, now.timestamp())
