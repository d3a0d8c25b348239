"""What waits for a second person, as the incident's panel shows it; or what became of the last that did."""

from __future__ import annotations

from typing import Any

from agents.access import Actor
from agents.models import Decision, Incident, Proposal
from agents.services import approvals
from checkpoints.models import Checkpoint

MOST = 6


def shown(incident: Incident, actor: Actor) -> dict[str, Any]:
    """`proposal` while one waits that could be confirmed; else `asked_before`, a sentence."""
    last = Proposal.objects.filter(incident=incident).order_by("-at").first()
    if last is None or last.state == Proposal.State.CONFIRMED:
        return {"proposal": None}
    if last.state != Proposal.State.WAITING or last.version != incident.version:
        return {"proposal": None, "asked_before": _before(last)}
    ids = sorted(set(last.targets.values()))[:MOST]
    targets = list(Checkpoint.objects.filter(pk__in=ids).select_related("agent")) if ids else []
    return {
        "proposal": last,
        "proposal_verb": approvals.SAID[last.verb],
        "proposal_agents": last.words.get("agents") or [],
        "proposal_targets": targets,
        "proposal_own": actor.person_id == last.person_id,
    }


def _before(last: Proposal) -> str:
    asked = f"{last.by} asked to {approvals.SAID[Decision.Verb(last.verb)]} at {last.at:%H:%M}"
    if last.state == Proposal.State.DECLINED:
        own = "took it back" if last.settled_by == last.by else f"and {last.settled_by} declined"
        return f"{asked}, {own}" + (f": {last.why}" if last.why else ".")
    if last.state == Proposal.State.LAPSED:
        return f"{asked}. {last.why}"
    return f"{asked}, and the incident has changed since, so that counts no more."
