"""The operators' routes that roll back, decide, report what is wrong, and answer for effects.

Some have an address below agents/ or incidents/; they stand here because they need checkpoints.
"""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from django.http import HttpRequest
from django.utils import timezone
from pydantic import Field

from agents.api import answers, problems
from agents.api import schema as base
from agents.api.operators import CHANGED, REFUSED, Limit, actor_of, agent_of, allowed, api
from agents.models import Effect, Incident
from agents.queries import listing
from agents.services import decisions, worklist
from checkpoints import blast, queries
from checkpoints.api import schema, shown
from checkpoints.api.operators import checkpoint_of
from checkpoints.diffs import memory, plain, workspace
from checkpoints.models import Rollback
from checkpoints.proving import Scope
from checkpoints.services import aiming, confirming, reports, rollbacks
from checkpoints.store import fetch
from sickbay.tree.node import BadNode
from sickbay.tree.text import BadText

TAGS = ["rollbacks"]
STATUS = {"not_found": 404, "lost": 409, "in_flight": 409, "wrong_answer": 422, "no_key": 422}


@api.post("agents/{name}/rollback/", response={200: schema.OrderedOut, **CHANGED}, tags=TAGS)
def roll_back_agent(request: HttpRequest, name: str, said: schema.RollbackIn) -> Any:
    """Put an agent back. A paused one stays paused, a running one goes on from there."""
    found = agent_of(request, name, "decide")
    try:
        ordered = rollbacks.order(
            actor=actor_of(request), agent=found, wanted=_wanted(said), now=timezone.now()
        )
    except aiming.Refused as refused:
        raise _problem(refused) from refused
    rows = [shown.rollback(row) for row in ordered.rollbacks]
    return {"agent": name, "message": ordered.sentence, "remarks": ordered.remarks, "rollbacks": rows}


@api.post(
    "incidents/{int:id}/decide/",
    response={200: base.DecidedOut, 202: base.DecidedOut, **CHANGED},
    tags=["incidents"],
)
def decide_incident(request: HttpRequest, id: int, said: schema.DecideIn) -> Any:
    """Decide from the version you were shown; 409 says what changed, or who was first."""
    found = listing.incident(actor_of(request).project_id, id)
    allowed(request, "decide", found)
    if found is not None and said.agents is not None:
        _in_it(found, said.agents)
    words: dict[str, Any] = {
        "actor": actor_of(request), "incident_id": id, "version": said.version, "agents": said.agents,
        "guidance": said.guidance or "", "probation": said.probation, "now": timezone.now(),
    }  # fmt: skip
    if said.decision != "rollback":
        if said.checkpoint is not None or said.scope is not None:
            what = "checkpoint and scope belong to the decision rollback."
            raise problems.Problem(422, "invalid", what, "Leave them out, or decide rollback.")
        return answers.decided(decisions.decide(verb=said.decision, reason=said.reason, **words))
    if said.checkpoint is None:
        raise problems.Problem(
            422, "invalid", "checkpoint: a rollback needs one.", "Say its id, or last_known_good."
        )
    try:
        return answers.decided(rollbacks.decide(wanted=_wanted(said), **words))
    except aiming.Refused as refused:
        raise _problem(refused) from refused


@api.post(
    "incidents/{int:id}/confirm/{uuid:proposal}/",
    response={200: base.DecidedOut, **CHANGED},
    tags=["incidents"],
)
def confirm_proposal(request: HttpRequest, id: int, proposal: uuid.UUID, said: base.ConfirmIn) -> Any:
    """Be the second person: a token stands for whoever made it, and that must be somebody else."""
    allowed(request, "decide", listing.incident(actor_of(request).project_id, id))
    try:
        outcome = confirming.confirm(
            actor=actor_of(request), incident_id=id, id=proposal, version=said.version, now=timezone.now()
        )
    except aiming.Refused as refused:
        raise _problem(refused) from refused
    return answers.decided(outcome)


@api.get("agents/{name}/rollbacks/", response={200: schema.RollbacksOut, **REFUSED}, tags=TAGS)
def list_rollbacks(
    request: HttpRequest,
    name: str,
    limit: Limit = 100,
    before: Annotated[str, Field(max_length=60)] | None = None,
) -> Any:
    """The newest first."""
    found = agent_of(request, name)
    place = queries.key(before) if before else None
    if before and place is None:
        raise problems.Problem(
            422, "invalid", "before: it is no `next` of this list.", "Pass `next` as it is."
        )
    rows = queries.rollbacks_of(found.pk, before=place, limit=limit)
    page, following = answers.page(rows, limit, lambda row: str(queries.Key(row.ordered_at, row.pk)))
    return {"rollbacks": [shown.rollback(row) for row in page], "next": following}


@api.get("rollbacks/{uuid:id}/", response={200: schema.RollbackDetailOut, **REFUSED}, tags=TAGS)
def one_rollback(request: HttpRequest, id: uuid.UUID) -> Any:
    """How far it has come, and the effects that it did not undo."""
    found = _rollback(request, id)
    return {**shown.rollback(found), "effects": [shown.effect(e) for e in blast.worklist_of_rollback(found)]}


@api.post("rollbacks/{uuid:id}/withdraw/", response={200: schema.WithdrawnOut, **CHANGED}, tags=TAGS)
def withdraw_rollback(request: HttpRequest, id: uuid.UUID, said: schema.WithdrawRollbackIn) -> Any:
    """Take it back while no run has taken it up; 409 says that a run was first."""
    found = _rollback(request, id, "decide")
    try:
        sentence = rollbacks.withdraw(
            actor=actor_of(request), rollback=found, reason=said.reason, now=timezone.now()
        )
    except aiming.Refused as refused:
        raise _problem(refused) from refused
    return {"message": sentence, "rollback": shown.rollback(_rollback(request, id))}


@api.get("checkpoints/{uuid:id}/blast/", response={200: schema.BlastOut, **REFUSED}, tags=TAGS)
def blast_of_checkpoint(request: HttpRequest, id: uuid.UUID) -> Any:
    """What going back to it loses, and what it cannot undo."""
    return shown.blast(blast.of(checkpoint_of(request, id)))


@api.get(
    "checkpoints/{uuid:a}/diff/{uuid:b}/", response={200: schema.DiffOut, **CHANGED}, tags=["checkpoints"]
)
def compare_checkpoints(request: HttpRequest, a: uuid.UUID, b: uuid.UUID) -> Any:
    """What changed from the first to the second; secrets are masked, large values shown by their size."""
    old, new = checkpoint_of(request, a), checkpoint_of(request, b)

    def nodes(names: list[bytes]) -> dict[bytes, bytes]:
        return fetch(new.project_id, names)

    try:
        return plain.diff(
            memory.compare(_bytes(old.memory), _bytes(new.memory), nodes),
            workspace.compare(_bytes(old.workspace), _bytes(new.workspace), nodes),
            nodes,
        )
    except (BadNode, BadText) as error:
        raise problems.Problem(
            409, "damaged", f"They cannot be compared: {error}.", "Run manage.py verify on the server."
        ) from error


@api.post("agents/{name}/wrong/", response={200: schema.WrongOut, **CHANGED}, tags=TAGS)
def wrong_since(request: HttpRequest, name: str, said: schema.WrongIn) -> Any:
    """Wrong since here: pause it, open an incident, condemn what was taken from there on."""
    found = agent_of(request, name, "decide")
    place = reports.place_of(found, said.since)
    if place is None:
        raise problems.not_found("entry or checkpoint of this agent")
    done = reports.wrong_since(
        actor=actor_of(request),
        agent=found,
        place=place,
        named=said.since,
        reason=said.reason,
        now=timezone.now(),
    )
    effects = blast.worklist_since(found.pk, place.instance_id, place.since)
    return {
        "agent": name,
        "incident": done.incidents[0].pk if done.incidents else None,
        "since": done.since,
        "condemned": done.condemned,
        "last_known_good": done.last_known_good.pk if done.last_known_good else None,
        "paused": done.ordered.paused,
        "already": done.ordered.already,
        "effects": [shown.effect(effect) for effect in effects],
    }


@api.get("incidents/{int:id}/effects/", response={200: schema.EffectsOut, **REFUSED}, tags=TAGS)
def effects_of_incident(request: HttpRequest, id: int) -> Any:
    """The worklist: what reached the outside world since the last known good checkpoint."""
    found = (
        Incident.objects.select_related("agent")
        .filter(project_id=actor_of(request).project_id, pk=id)
        .first()
    )
    allowed(request, "view", found)
    assert found is not None
    return {"effects": [shown.effect(effect) for effect in blast.worklist_of_incident(found)]}


@api.post("agents/{name}/effects/{id}/answer/", response={200: schema.AnsweredOut, **CHANGED}, tags=TAGS)
def answer_effect(request: HttpRequest, name: str, id: str, said: schema.AnswerIn) -> Any:
    """Tick an effect off: accepted or again, of what was done; happened or did_not, of what may have been."""
    found = agent_of(request, name, "decide")
    done = worklist.answer(
        actor=actor_of(request),
        agent=found,
        effect_id=id,
        said=said.answer,
        reason=said.reason,
        now=timezone.now(),
    )
    if done.name == "not_found":
        raise problems.not_found("effect")
    if done.name != "answered":
        raise problems.Problem(STATUS[done.name], done.name, done.sentence, "Read the worklist again.")
    effect = Effect.objects.select_related("instance__agent").get(pk=id)
    return {"message": done.sentence, "effect": shown.effect(effect)}


def _rollback(request: HttpRequest, id: uuid.UUID, verb: str = "view") -> Rollback:
    found = queries.rollback(actor_of(request).project_id, id)
    if found is None:
        raise problems.not_found("rollback")
    allowed(request, verb, found)
    return found


def _in_it(incident: Incident, named: list[str]) -> None:
    """Refuses what the incident has not: an agent of elsewhere, or none at all."""
    whole = answers.agents_of(incident)
    strangers = [name for name in dict.fromkeys(named) if name not in whole]
    if named and not strangers:
        return
    listed = ", ".join(strangers[:5]) + (f" and {len(strangers) - 5} more" if len(strangers) > 5 else "")
    message = f"{listed}: not in this incident." if listed else "agents: an empty list decides about nobody."
    raise problems.Problem(
        422,
        "invalid",
        message,
        f"Name some of {', '.join(whole[:10])}, or leave agents out for all of them.",
    )


def _wanted(said: schema.RollbackIn | schema.DecideIn) -> aiming.Wanted:
    """An id or `last_known_good`; the address of nothing is not there."""
    named: uuid.UUID | str = said.checkpoint or ""
    if named != aiming.LAST_KNOWN_GOOD:
        try:
            named = uuid.UUID(str(named))
        except ValueError:
            raise problems.not_found("checkpoint") from None
    scope = None
    if said.scope is not None:
        paths = tuple(said.scope.paths) if said.scope.paths is not None else None
        scope = Scope(said.scope.memory and paths is None, said.scope.workspace, paths)
    return aiming.Wanted(named, said.reason, scope, said.even_bad)


def _problem(refused: aiming.Refused) -> problems.Problem:
    return problems.Problem(refused.status, refused.error, refused.message, refused.what_to_do)


def _bytes(name: bytes | None) -> bytes | None:
    return bytes(name) if name is not None else None
