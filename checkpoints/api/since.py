"""The operators' route for *since when?*: from which checkpoint on a place is as it is, and what was done."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from django.http import HttpRequest
from pydantic import Field

from agents.api import answers, problems
from agents.api.operators import agent_of, api
from checkpoints import contents, nearest, queries, since
from checkpoints.api import schema, shown
from checkpoints.api.contents import ANSWERS, no_place, told
from checkpoints.models import Checkpoint
from checkpoints.since import Since

Place = Annotated[str, Field(max_length=contents.LONGEST_PATH, pattern=r"^[^\x00]*$")]


@api.get("agents/{name}/since/", response={200: schema.SinceOut, **ANSWERS}, tags=["checkpoints"])
def since_when(
    request: HttpRequest,
    name: str,
    path: Place = "",
    where: schema.Where = "memory",
    instance: schema.InstanceName | None = None,
    newest: uuid.UUID | None = None,
) -> Any:
    """Since when a place of the memory, or a file, is as `newest` has it: the checkpoint, and what was done.

    A path is `rates.scale`, or as JSON `["rates", "scale"]`; of a file, as the list of files writes it.
    """
    agent = agent_of(request, name)
    asked = queries.newest_of(agent.pk, instance) if newest is None else queries.of_agent(agent.pk, newest)
    if asked is None:
        raise problems.not_found("checkpoint of this agent")
    with told():
        found, else_ = _file(asked, path) if where == "file" else _value(asked, path)
    never = not found.is_there and not found.is_bound and found.before is None
    return {
        "agent": name,
        "path": path,
        "where": where,
        "asked": shown.brief(asked),
        "there": found.is_there,
        "since": shown.brief(found.first),
        "before": shown.brief(found.before),
        "bound": found.is_bound,
        "looked_at": found.looked_at,
        "message": f"{else_} Nor was it in any that is kept." if never else _said(found),
        "actions": [answers.entry(entry) for entry in found.actions],
        "more_actions": found.more_actions,
    }


def _value(asked: Checkpoint, path: str) -> tuple[Since, str]:
    place = contents.place(path)
    if place is None:
        raise no_place()
    found = since.value(asked, contents.spelled(asked, place))
    return found, "" if found.is_there else nearest.place(asked, place)


def _file(asked: Checkpoint, path: str) -> tuple[Since, str]:
    if not path:
        raise problems.Problem(422, "invalid", "path: say which file.", "Write it as the list of files does.")
    one = contents.entry(asked, path)
    found = since.file(asked, one.path if one else path.encode("utf-8", "surrogatepass"))
    return found, "" if found.is_there else nearest.file(asked, path)


def _said(found: Since) -> str:
    so = "It has been so" if found.is_there else "It has not been there"
    first = f"{found.first.at:%Y-%m-%d %H:%M:%S} UTC"
    if found.is_bound:
        return (
            f"{so} since {first} or longer: no more could be looked at. Ask on with newest={found.first.pk}."
        )
    if found.before is None:
        return f"{so} since {first}, the oldest checkpoint that is kept."
    return f"{so} since {first}."
