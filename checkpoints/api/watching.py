"""The operators' routes to an agent's watches: checks that every new checkpoint is judged by."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from agents.api import problems
from agents.api.operators import CHANGED, REFUSED, actor_of, agent_of, allowed, api
from checkpoints import checks, queries
from checkpoints.api import schema
from checkpoints.checks import Check
from checkpoints.models import Watch
from checkpoints.services import watches

TAGS = ["watches"]


@api.get("agents/{name}/watches/", response={200: schema.WatchesOut, **REFUSED}, tags=TAGS)
def list_watches(request: HttpRequest, name: str) -> Any:
    """All of an agent's, in the order they were kept; there are at most twenty."""
    found = agent_of(request, name)
    return {"watches": [_shown(watch, name) for watch in queries.watches(found.pk)]}


@api.post("agents/{name}/watches/", response={200: schema.WatchOut, **CHANGED}, tags=TAGS)
def keep_watch(request: HttpRequest, name: str, said: schema.WatchIn) -> Any:
    """Watch this from now on. The same check again changes nothing, and answers with how it is kept."""
    agent, check = agent_of(request, name, "decide"), Check(said.path, said.op, said.value, said.where)
    if why := checks.wrong_with(check):
        raise problems.Problem(422, "invalid", f"This is no check: {why}", "Correct it.")
    try:
        kept = watches.keep(
            actor=actor_of(request), agent=agent, check=check, policy=said.policy, now=timezone.now()
        )
    except watches.Refused as refused:
        raise problems.Problem(409, "too_many", str(refused), "Remove one, then keep this one.") from refused
    return _again(kept)


@api.post("watches/{int:id}/turn/", response={200: schema.WatchOut, **CHANGED}, tags=TAGS)
def turn_watch(request: HttpRequest, id: int, said: schema.TurnWatchIn) -> Any:
    """On or off; what it saw stays."""
    found = _found(request, id)
    watches.turn(actor=actor_of(request), watch=found, on=said.on, now=timezone.now())
    return _again(found)


@api.post("watches/{int:id}/policy/", response={200: schema.WatchOut, **CHANGED}, tags=TAGS)
def set_watch_policy(request: HttpRequest, id: int, said: schema.WatchPolicyIn) -> Any:
    """From observing to enforcing, and back."""
    found = _found(request, id)
    watches.set_policy(actor=actor_of(request), watch=found, policy=said.policy, now=timezone.now())
    return _again(found)


@api.post("watches/{int:id}/remove/", response={200: schema.RemovedOut, **REFUSED}, tags=TAGS)
def remove_watch(request: HttpRequest, id: int) -> Any:
    """Watch this no more; a second time it is not there."""
    found = _found(request, id)
    watches.remove(actor=actor_of(request), watch=found, now=timezone.now())
    return {"message": f"{watches.check_of(found).words}: it is not watched any more."}


def _found(request: HttpRequest, id: int) -> Watch:
    found = queries.watch(actor_of(request).project_id, id)
    if found is None:
        raise problems.not_found("watch")
    allowed(request, "decide", found)
    return found


def _again(kept: Watch) -> dict[str, Any]:
    """As it is now."""
    rows = queries.watches(kept.agent_id)
    row = next((row for row in rows if row.pk == kept.pk), None)
    if row is None:
        raise problems.not_found("watch")
    return _shown(row, kept.agent.name)


def _shown(watch: Watch, agent: str) -> dict[str, Any]:
    return {
        "id": watch.pk, "agent": agent, "check": watches.check_of(watch).words, "op": watch.op,
        "path": watch.path, "value": watch.value, "where": watch.where, "policy": watch.policy,
        "on": watch.is_on, "by": watch.by, "at": watch.at,
        "seen": [
            {
                "instance": seen.instance.name, "passes": seen.passes, "checkpoint": seen.checkpoint,
                "at": seen.at, "since": seen.since,
            }
            for seen in watch.seen.all()
        ],
    }  # fmt: skip
