"""The second person agrees, and what the first one asked for is decided: as it was shown, or not at all."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import replace

from django.db import transaction

from agents.access import Actor
from agents.models import Agent, Incident, Proposal
from agents.services import approvals, decisions, trials
from agents.services.decisions import Outcome
from checkpoints.services import aiming, rollbacks

NAMES: dict[str, decisions.Name] = {
    "settled": "lost", "stale": "stale", "lapsed": "lapsed", "own": "own", "nobody": "nobody",
    "not_allowed": "not_allowed",
}  # fmt: skip


@transaction.atomic
def confirm(*, actor: Actor, incident_id: int, id: uuid.UUID, version: int, now: dt.datetime) -> Outcome:
    """Decide what was asked for; `version` is the one that the second person was shown."""
    decisions.lock_those_of(incident_id)
    mine = Incident.objects.filter(pk=incident_id, project_id=actor.project_id)
    incident = mine.select_for_update().first()
    proposal = approvals.waiting(incident, id) if incident is not None else None
    if incident is None or proposal is None:
        return Outcome("not_found", "Nobody asked for this here.")
    found = approvals.verdict(actor, proposal, incident, now)
    if not found.name and version != proposal.version:
        sentence = f"You saw version {version}; {proposal.by} asked from version {proposal.version}."
        return Outcome("stale", sentence, incident.version, incident=incident)
    if not found.name and not _aims_as_shown(incident, proposal):
        sentence = (
            f"What is good has changed since {proposal.by} asked: it would go back to another checkpoint."
        )
        found = approvals.Verdict("stale", sentence)
    if found.name:
        _note(proposal, found, now)
        return Outcome(NAMES[found.name], found.sentence, incident.version, incident=incident)
    outcome = _decided(replace(actor, name=f"{proposal.by} and {actor.name}"), incident, proposal, now)
    if outcome.name == "decided":
        approvals.settle(proposal, Proposal.State.CONFIRMED, actor.name, "", now)
    return outcome


def _decided(both: Actor, incident: Incident, proposal: Proposal, now: dt.datetime) -> Outcome:
    words = proposal.words
    if proposal.verb == "start":
        agent = Agent.objects.get(project_id=both.project_id, name=words["agents"][0])
        return decisions.start(
            actor=both, agent=agent, reason=words["reason"], guidance=words["guidance"],
            confirmed=True, now=now,
        )  # fmt: skip
    if proposal.verb == "rollback":
        return rollbacks.decide(
            actor=both, incident_id=incident.pk, version=proposal.version, wanted=aiming.read(words),
            guidance=words["guidance"], probation=words["probation"], agents=words["agents"],
            confirmed=True, now=now,
        )  # fmt: skip
    if words.get("first"):
        return trials.begin(
            actor=both, incident_id=incident.pk, agent=words["first"], version=proposal.version,
            reason=words["reason"], guidance=words["guidance"], confirmed=True, now=now,
        )  # fmt: skip
    return decisions.decide(
        actor=both, incident_id=incident.pk, verb="resume", version=proposal.version,
        reason=words["reason"], guidance=words["guidance"], probation=words["probation"],
        agents=words["agents"], confirmed=True, now=now,
    )  # fmt: skip


def _aims_as_shown(incident: Incident, proposal: Proposal) -> bool:
    """The last known good checkpoint is looked for again: it must be the one that both saw."""
    if proposal.verb != "rollback":
        return True
    waiting = aiming.waiting(incident, proposal.words["agents"])
    found = aiming.of_incident(incident, waiting, aiming.read(proposal.words))
    aims = {str(instance.pk): str(target.pk) for instance, target in found}
    return aims == dict(proposal.targets)


def _note(proposal: Proposal, found: approvals.Verdict, now: dt.datetime) -> None:
    """What can never be confirmed any more waits no more."""
    states = {"stale": Proposal.State.STALE, "lapsed": Proposal.State.LAPSED}
    if found.name in states:
        approvals.settle(proposal, states[found.name], "sickbay", found.sentence, now)
