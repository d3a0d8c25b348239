"""Where a rollback goes: which checkpoint for which instance, how much of it, and why not."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from agents.access import Actor
from agents.models import Agent, Incident, Instance, Pause, PauseState
from agents.services import decisions
from checkpoints import blast, proving, queries
from checkpoints.models import Checkpoint, Standing
from checkpoints.proving import Scope

LAST_KNOWN_GOOD = "last_known_good"
HOLDING = (PauseState.PAUSING, PauseState.PAUSED, PauseState.DECIDED)


class Refused(Exception):
    """It cannot be ordered: a name for programs, the sentence, and what to do instead."""

    def __init__(self, error: str, message: str, what_to_do: str, status: int = 409) -> None:
        super().__init__(message)
        self.error, self.message, self.what_to_do, self.status = error, message, what_to_do, status


@dataclass(frozen=True)
class Wanted:
    """What the human asks for. `scope` None: all that can be put back. `even_bad`: the explicit tick.

    `shown_at`: when the human was shown what it means; a rollback since then makes that untrue.
    """

    checkpoint: uuid.UUID | str
    reason: str
    scope: Scope | None = None
    even_bad: bool = False
    shown_at: dt.datetime | None = None


def refuse_unproven(actor: Actor, agents: Iterable[Agent]) -> None:
    """Where an agent's policy asks for it, whoever rolls back has just shown anew that it is them."""
    asks = next((agent.name for agent in agents if agent.proves_anew), None)
    if asks is None or actor.proven:
        return
    if actor.kind == "person":
        raise Refused("prove_anew", f"{asks} asks for your sign-in anew.", "Prove that it is you.", 403)
    raise Refused(
        "person_needed",
        f"The policy of {asks} lets nobody roll it back who has not just signed in anew, and a token cannot.",
        "Roll it back from the browser.",
        403,
    )


def kept(wanted: Wanted) -> dict[str, Any]:
    """As it waits for a second person; `read` makes it again."""
    scope = wanted.scope.plain() if wanted.scope is not None else None
    return {"checkpoint": str(wanted.checkpoint), "scope": scope, "even_bad": wanted.even_bad}


def read(words: dict[str, Any]) -> Wanted:
    named, said = words["checkpoint"], words["scope"]
    scope = proving.scope_of(said) if said is not None else None
    where = named if named == LAST_KNOWN_GOOD else uuid.UUID(named)
    return Wanted(where, words["reason"], scope, words["even_bad"])


def of_agent(agent: Agent, instances: list[Instance], wanted: Wanted) -> list[tuple[Instance, Checkpoint]]:
    """Which instance goes back where: a checkpoint belongs to one; the last known good is each one's own."""
    if wanted.checkpoint != LAST_KNOWN_GOOD:
        target = _one(agent.pk, wanted)
        return [(instance, target) for instance in instances if instance.pk == target.instance_id]
    held = {
        pause.instance_id: pause.incident
        for pause in Pause.objects.filter(instance__in=instances, state__in=HOLDING).select_related(
            "incident__agent"
        )
    }
    found = []
    for instance in instances:
        incident = held.get(instance.pk)
        before = queries.first_failure_at(incident, agent.pk) if incident else None
        good = queries.last_known_good(agent.pk, before=before, instance_id=instance.pk)
        if good is not None:
            found.append((instance, good))
    if not found:
        raise _no_good_one(agent.name)
    return found


def of_incident(
    incident: Incident, waiting: list[Pause], wanted: Wanted
) -> list[tuple[Instance, Checkpoint]]:
    """The same for the waiting pauses of an incident; nobody is left out in silence."""
    if wanted.checkpoint != LAST_KNOWN_GOOD:
        return _of_one(waiting, wanted)
    found = []
    for pause in waiting:
        agent_id = pause.instance.agent_id
        good = queries.last_known_good_of(incident, agent_id, pause.instance_id)
        if good is None:
            raise _no_good_one(f"{pause.instance.agent.name}, instance {pause.instance.name},")
        found.append((pause.instance, good))
    return found


def _of_one(waiting: list[Pause], wanted: Wanted) -> list[tuple[Instance, Checkpoint]]:
    """The pause whose instance took this checkpoint."""
    ids = sorted({pause.instance.agent_id for pause in waiting})
    target = next((found for pk in ids if (found := _known(pk, wanted.checkpoint)) is not None), None)
    if target is None:
        raise _not_there()
    _refuse(target, wanted)
    mine = [pause.instance for pause in waiting if pause.instance_id == target.instance_id]
    if not mine:
        raise Refused(
            "other_instance",
            f"This checkpoint is of the instance {target.instance.name}, which does not wait here.",
            "Choose a checkpoint of an instance that waits, or last_known_good.",
        )
    return [(instance, target) for instance in mine]


def waiting(incident: Incident, agents: Iterable[str] | None) -> list[Pause]:
    named = None if agents is None else set(agents)
    rows = Pause.objects.filter(incident=incident, state__in=decisions.WAITING)
    found = rows.select_related("instance__agent").order_by("instance_id")
    return [pause for pause in found if named is None or pause.instance.agent.name in named]


def _one(agent_id: int, wanted: Wanted) -> Checkpoint:
    found = _known(agent_id, wanted.checkpoint)
    if found is None:
        raise _not_there()
    _refuse(found, wanted)
    return found


def _known(agent_id: int, id: uuid.UUID | str) -> Checkpoint | None:
    return queries.of_agent(agent_id, id) if isinstance(id, uuid.UUID) else None


def _not_there() -> Refused:
    return Refused(
        "not_found", "This agent has no such checkpoint.", "Look at the list for what is there.", 404
    )


def _no_good_one(who: str) -> Refused:
    return Refused(
        "no_good_checkpoint",
        f"{who} has no good checkpoint from before the first failure.",
        "Choose a checkpoint by its id, or decide resume, with guidance if it helps.",
    )


def _refuse(target: Checkpoint, wanted: Wanted) -> None:
    """What cannot be gone back to, and what needs the explicit tick."""
    if target.judged_by == blast.DAMAGE:
        raise Refused("damaged", f"It is {target.reason}.", "Choose another checkpoint.")
    if target.standing == Standing.BAD and not wanted.even_bad and not queries.undoes(target):
        why = f"{target.judged_by}: {target.reason}" if target.judged_by else target.reason
        raise Refused(
            "bad_checkpoint", f"It is bad ({why}).", "Say even_bad: true to go back to it all the same."
        )


def scope_for(target: Checkpoint, wanted: Wanted) -> Scope:
    """What is put back: what was asked for, of what the checkpoint has."""
    asked = wanted.scope
    shared = target.agent.shared_workspace
    if asked is not None and asked.paths is not None and (why := proving.wrong_path(asked.paths)):
        raise Refused("invalid", f"scope.paths: {why}.", "Name files as the checkpoint does.", 422)
    if asked is not None and asked.paths is not None and (not asked.paths or not asked.workspace):
        raise Refused("invalid", "scope.paths without any path.", "Name a path, or leave it out.", 422)
    wants_files = asked is not None and asked.workspace and (asked.paths is not None or not asked.memory)
    if shared and wants_files:
        raise Refused(
            "shared_workspace",
            f"The workspace of {target.agent.name} is shared with others, so files are not rolled back.",
            "Roll back the memory alone, and change files by hand.",
            422,
        )
    asked = asked or Scope()
    scope = replace(
        asked,
        memory=asked.memory and target.memory is not None,
        workspace=asked.workspace and target.workspace is not None and not shared,
    )
    if not scope.workspace:
        scope = replace(scope, paths=None)
    if not scope.memory and not scope.workspace:
        raise Refused("nothing", "The checkpoint has nothing of what is asked for.", "Widen the scope.", 422)
    return scope
