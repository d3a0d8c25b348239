"""Two people: where an agent's policy asks for it, one person's decision waits for another's.

    ask      the first one decides; kept as it was said, with the version and checkpoints they were shown
    confirm  a second, different person agrees (checkpoints/services/confirming, which decides)
    decline  anybody who may decide says no, or the first one takes it back

It lapses after half an hour, and counts no more once the incident is another version than was shown. Who may
decide is asked anew at the end: a role that was lost meanwhile confirms nothing, and what a removed person
asked for counts no more. A token stands for whoever made it; one that nobody made, or automation, for nobody.

The caller holds the incident's lock, so of two at once one is first.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from django.db import transaction

from agents import access, announce
from agents.access import Actor
from agents.models import Agent, Incident, Proposal, User
from agents.services import alerts, audit
from agents.services.snapshots import text

LAPSES_AFTER = dt.timedelta(minutes=30)
SAID = {"resume": "resume", "rollback": "roll back and resume", "start": "start again"}

Refusal = Literal["", "settled", "stale", "lapsed", "own", "nobody", "not_allowed"]


@dataclass(frozen=True)
class Verdict:
    """Whether it may be confirmed: nothing, or the name of what stands in the way and its sentence."""

    name: Refusal = ""
    sentence: str = ""


@dataclass(frozen=True)
class Asked:
    name: Literal["asked", "waits", "nobody"]
    sentence: str


def needed(agents: Iterable[Agent]) -> bool:
    return any(agent.two_people for agent in agents)


def ask(
    *,
    actor: Actor,
    incident: Incident,
    verb: str,
    words: dict[str, Any],
    targets: dict[str, str],
    now: dt.datetime,
) -> Asked:
    """Keep the first one's decision; the caller has checked its version under the incident's lock."""
    if actor.person_id is None:
        sentence = (
            f"It needs two people, and {actor.name} stands for nobody: a person asks, and another confirms."
        )
        return Asked("nobody", sentence)
    waiting = _tidied(incident, now)
    if waiting is not None:
        first = f"{waiting.by} was first, at {waiting.at:%H:%M:%S}: {SAID[waiting.verb]}"
        sentence = f"{first} waits for a second person. Yours was not kept."
        return Asked("waits", sentence)
    proposal = Proposal.objects.create(
        incident=incident, verb=verb, version=incident.version, words=words, targets=targets,
        person_id=actor.person_id, by=text(actor.name, 200), at=now, lapses_at=now + LAPSES_AFTER,
    )  # fmt: skip
    _tell(proposal, actor.name, f"ask: {verb}", str(words.get("reason", "")), now)
    return Asked(
        "asked", f"Asked for by {actor.name}: it waits for a second person, until {proposal.lapses_at:%H:%M}."
    )


def waiting(incident: Incident, id: uuid.UUID) -> Proposal | None:
    return Proposal.objects.select_related("person").filter(incident=incident, pk=id).first()


def verdict(actor: Actor, proposal: Proposal, incident: Incident, now: dt.datetime) -> Verdict:
    """Whether this actor may be the second, as things are now."""
    if proposal.state != Proposal.State.WAITING:
        return Verdict("settled", _became(proposal))
    if proposal.version != incident.version:
        return Verdict(
            "stale",
            f"The incident moved on since {proposal.by} asked: that was version {proposal.version}, "
            f"it is version {incident.version} now.",
        )
    if proposal.lapses_at <= now:
        return Verdict("lapsed", f"It lapsed at {proposal.lapses_at:%H:%M:%S}.")
    if not access.decides(proposal.person, incident.project_id):
        return Verdict(
            "lapsed", f"{proposal.by} may not decide here any more, so what they asked for counts no more."
        )
    if actor.person_id is None:
        return Verdict("nobody", f"{actor.name} stands for nobody: a second person confirms.")
    if actor.person_id == proposal.person_id:
        return Verdict("own", f"{proposal.by} asked for it: a second, different person confirms.")
    if not access.decides(User.objects.filter(pk=actor.person_id).first(), incident.project_id):
        return Verdict("not_allowed", f"{actor.name} may not decide here any more.")
    return Verdict()


def settle(proposal: Proposal, state: str, by: str, why: str, now: dt.datetime) -> bool:
    """It waits no more; false when somebody was first."""
    rows = Proposal.objects.filter(pk=proposal.pk, state=Proposal.State.WAITING)
    settled = {"state": state, "settled_by": text(by, 200), "settled_at": now, "why": text(why, 500)}
    if not rows.update(**settled):
        return False
    proposal.refresh_from_db()
    verb = {"confirmed": "confirm", "declined": "decline"}.get(state, "let lapse")
    _tell(proposal, by, f"{verb}: {proposal.verb}", why, now)
    return True


@transaction.atomic
def decline(
    *, actor: Actor, incident_id: int, id: uuid.UUID, reason: str, now: dt.datetime
) -> Verdict | None:
    """Say no, or take one's own back; None when it is not there."""
    incident = (
        Incident.objects.select_for_update().filter(pk=incident_id, project_id=actor.project_id).first()
    )
    proposal = waiting(incident, id) if incident is not None else None
    if proposal is None:
        return None
    if not settle(proposal, Proposal.State.DECLINED, actor.name, reason, now):
        return Verdict("settled", _became(proposal))
    own = actor.person_id == proposal.person_id
    return Verdict("", "Taken back." if own else f"Declined. {proposal.by} may ask again.")


def lapse(now: dt.datetime) -> int:
    """What waited in vain, or was overtaken: said once, in the log and on the page."""
    done = 0
    for pk in Proposal.objects.filter(state=Proposal.State.WAITING).values_list("incident_id", flat=True):
        with transaction.atomic():
            incident = Incident.objects.select_for_update().get(pk=pk)
            before = Proposal.objects.filter(incident=incident, state=Proposal.State.WAITING).exists()
            done += before and _tidied(incident, now) is None
    return done


def _tidied(incident: Incident, now: dt.datetime) -> Proposal | None:
    """The one that waits still."""
    rows = Proposal.objects.filter(incident=incident, state=Proposal.State.WAITING)
    proposal = rows.select_related("person").first()
    if proposal is None:
        return None
    nobody = Actor("automation", "sickbay", incident.project_id)
    found = verdict(nobody, proposal, incident, now)
    if found.name not in ("stale", "lapsed"):
        return proposal
    state = Proposal.State.STALE if found.name == "stale" else Proposal.State.LAPSED
    settle(proposal, state, nobody.name, found.sentence, now)
    return None


def _became(proposal: Proposal) -> str:
    if proposal.settled_at is None or proposal.state in (Proposal.State.LAPSED, Proposal.State.STALE):
        return proposal.why
    return f"{proposal.settled_by} {proposal.state} it at {proposal.settled_at:%H:%M:%S}."


def _tell(proposal: Proposal, by: str, verb: str, reason: str, now: dt.datetime) -> None:
    """The page, webhooks that ask for every change, and the log; the log's lock comes last."""
    incident = proposal.incident
    announce.announce(f"incident-{incident.pk}", incident.version)
    alerts.changed(incident, f"{verb}, for two people", str(now.timestamp()), now)
    audit.record(
        project_id=incident.project_id, actor=by, verb=verb, object=f"incident {incident.pk}", reason=reason,
        saw={"version": proposal.version, "asked by": proposal.by, "checkpoints": proposal.targets,
             "title": incident.title, "guidance": str(proposal.words.get("guidance", ""))[:500]},
        now=now,
    )  # fmt: skip
