"""The operators' route that finds the first checkpoint where a check fails."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from django.http import HttpRequest
from pydantic import Field

from agents.api import problems
from agents.api.operators import CHANGED, agent_of, api
from checkpoints import checks, judging, queries
from checkpoints.api import schema, shown
from checkpoints.checks import Check

Text = Annotated[str, Field(max_length=checks.LONGEST_VALUE)]


@api.get("agents/{name}/bisect/", response={200: schema.BisectOut, **CHANGED}, tags=["checkpoints"])
def bisect_agent(
    request: HttpRequest,
    name: str,
    op: schema.Op,
    path: Text = "",
    value: Text = "",
    where: schema.Where = "memory",
    instance: schema.InstanceName | None = None,
    newest: uuid.UUID | None = None,
    oldest: uuid.UUID | None = None,
) -> Any:
    """The first checkpoint of a line that fails, and the last that passes; log n are read."""
    agent, check = agent_of(request, name), Check(path, op, value, where)
    if why := checks.wrong_with(check):
        raise problems.Problem(422, "invalid", f"This is no check: {why}", "Correct it.")
    found = queries.newest_of(agent.pk, instance) if newest is None else queries.of_agent(agent.pk, newest)
    if found is None:
        raise problems.not_found("checkpoint of this agent")
    try:
        line = judging.bisect(check, found, oldest)
    except judging.NotInLine:
        raise problems.Problem(
            422, "invalid", "oldest: the newest one does not descend from it.", "Name one of its line."
        ) from None
    return {
        "check": check.words,
        "result": line.found.ends,
        "message": line.sentence,
        "good": shown.brief(line.good),
        "bad": shown.brief(line.bad),
        "looks": line.found.looks,
        "checkpoints": len(line.steps),
        "skipped": [line.steps[place].id for place in line.found.skipped],
    }
