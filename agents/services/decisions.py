"""Decisions: what a human says about an incident's pauses, settled pause by pause.

A decision names the version it was shown. Whoever comes second is told who won; whoever looked at an old
page is told what changed; both were refused under the incident's row lock, so of two clicks one counts.
The agent hears of it by a command; a process that is gone takes it up when it next starts.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from django.db import transaction
from django.db.models import Q, QuerySet

from agents import announce
from agents.access import Actor
from agents.models import (
    Agent,
    Command,
    Decision,
    Incident,
    IncidentState,
    Instance,
    Kind,
    Pause,
    PauseState,
    Status,
)
from agents.queries.incidents import UNDECIDED
from agents.services import alerts, approvals, audit, commands, incidents, pauses, settling
from agents.services.snapshots import text

WAITING = (PauseState.PAUSING, PauseState.PAUSED)
SAID = {
    "resume": "lets it go on",
    "stop": "stops it",
    "start": "starts it again",
    "rollback": "rolls it back",
    "withdraw": "takes the decision back",
}

Name = Literal[
    "decided", "withdrawn", "taken_up", "stale", "lost", "nothing_to_decide", "not_found",
    "asked", "waits", "nobody", "own", "lapsed", "not_allowed",
]  # fmt: skip


@dataclass(frozen=True)
class Result:
    """What the decision means for one instance."""

    agent: str
    instance: str
    result: Literal["ordered", "stopped", "withdrawn"]
    taken_up: str
    command: Command | None = None


@dataclass(frozen=True)
class Order:
    """What a rollback asks of one instance beside the decision: its checkpoint, and more for the command."""

    target: uuid.UUID
    payload: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """`sentence` is what the human reads; `version` is the incident's now."""

    name: Name
    sentence: str
    version: int = 0
    results: list[Result] = field(default_factory=list)
    incident: Incident | None = None


@dataclass(frozen=True)
class Said:
    """The human's words, as each pause gets them."""

    actor: Actor
    verb: str
    version: int
    reason: str
    guidance: str
    probation: bool
    now: dt.datetime
    orders: Mapping[int, Order] = field(default_factory=dict)


@transaction.atomic
def decide(
    *,
    actor: Actor,
    incident_id: int,
    verb: Literal["resume", "stop", "rollback"],
    version: int,
    reason: str,
    now: dt.datetime,
    guidance: str = "",
    probation: bool = True,
    agents: Iterable[str] | None = None,
    orders: Mapping[int, Order] | None = None,
    more: Mapping[str, Any] | None = None,
    confirmed: bool = False,
) -> Outcome:
    """Decide about every waiting pause of the incident, or those of the named agents, or with an order.

    `orders`, by instance, come with a rollback (checkpoints/services/rollbacks); `more` is what else must be
    kept where a second person is asked, and `confirmed` says that one has agreed.
    """
    lock_those_of(incident_id)
    incident = (
        Incident.objects.select_for_update().filter(pk=incident_id, project_id=actor.project_id).first()
    )
    if incident is None:
        return Outcome("not_found", "There is no such incident.")
    if incident.version != version:
        return _refused(incident, version)
    said = Said(actor, verb, version, reason, guidance, probation, now, orders or {})
    named = None if agents is None else set(agents)
    if verb == "stop" and incident.cause in incidents.BY_ITSELF and incident.state in UNDECIDED:
        _hold_the_unpaused(incident, named, said)
    waiting = Pause.objects.filter(incident=incident, state__in=WAITING).select_related("instance__agent")
    decided = [p for p in waiting.order_by("instance_id") if named is None or p.instance.agent.name in named]
    if orders is not None:
        decided = [pause for pause in decided if pause.instance_id in orders]
    if not decided:
        sentence = "No pause of this incident waits for a decision."
        return Outcome("nothing_to_decide", sentence, version, incident=incident)
    if verb != "stop" and not confirmed and approvals.needed(p.instance.agent for p in decided):
        return _asked(incident, said, {"agents": None if named is None else sorted(named), **(more or {})})
    results = [_settle_one(pause, said) for pause in decided]
    _after(incident, [pause.instance.agent for pause in decided], said)
    incident.refresh_from_db()
    return Outcome("decided", _summary(said, decided), incident.version, results, incident)


@transaction.atomic
def start(
    *,
    actor: Actor,
    agent: Agent,
    reason: str,
    now: dt.datetime,
    guidance: str = "",
    confirmed: bool = False,
) -> Outcome:
    """Start a stopped agent again, on probation; its next process, or the one that waits, takes it up."""
    _lock_instances(Instance.objects.filter(agent=agent).values_list("pk", flat=True))
    stopped = list(
        Pause.objects.filter(instance__agent=agent, state=PauseState.STOPPED)
        .select_related("instance__agent")
        .order_by("instance_id")
    )
    if not stopped:
        return Outcome("nothing_to_decide", f"{agent.name} is not stopped.")
    found = sorted({pause.incident_id for pause in stopped})
    locked = list(Incident.objects.select_for_update().filter(pk__in=found).order_by("pk"))
    versions = {incident.pk: incident.version for incident in locked}
    if agent.two_people and not confirmed:
        first = Said(actor, "start", versions[locked[0].pk], reason, guidance, True, now)
        return _asked(locked[0], first, {"agents": [agent.name]})
    results = []
    for pause in stopped:
        said = Said(actor, "start", versions[pause.incident_id], reason, guidance, True, now)
        settling.overtake(pause.pk)
        results.append(_settle_one(pause, said))
    for incident in locked:
        incidents.bump(incident.pk)
    _tell(locked[0], [agent], said)
    return Outcome("decided", _summary(said, stopped), incidents.version_of(locked[0].pk), results, locked[0])


@transaction.atomic
def stop(*, actor: Actor, agent: Agent, reason: str, now: dt.datetime) -> Outcome:
    """Stop an agent from its own page: what runs is paused first, then every pause of it is decided."""
    pauses.order(actor=actor, agent=agent, reason=reason, now=now)
    held = Pause.objects.filter(instance__agent=agent, state__in=WAITING)
    outcomes = []
    for incident_id in sorted(set(held.values_list("incident_id", flat=True))):
        outcomes.append(
            decide(
                actor=actor,
                incident_id=incident_id,
                verb="stop",
                version=incidents.version_of(incident_id),
                reason=reason,
                agents=[agent.name],
                now=now,
            )
        )
    if not outcomes:
        return Outcome("nothing_to_decide", f"{agent.name} has no instance that could be stopped.")
    results = [result for outcome in outcomes for result in outcome.results]
    return Outcome("decided", outcomes[-1].sentence, outcomes[-1].version, results, outcomes[-1].incident)


@transaction.atomic
def withdraw(*, actor: Actor, incident_id: int, version: int, now: dt.datetime, reason: str = "") -> Outcome:
    """Take back what no run has taken up: its pauses wait for a decision again, or stay stopped.

    Whoever takes a command up holds its instance's lock, so either the run was first or this is.
    """
    _lock_instances(Instance.objects.filter(pauses__incident=incident_id).values_list("pk"))
    incident = (
        Incident.objects.select_for_update().filter(pk=incident_id, project_id=actor.project_id).first()
    )
    if incident is None:
        return Outcome("not_found", "There is no such incident.")
    ordered = Command.objects.filter(decision__incident=incident, pause__state=PauseState.DECIDED)
    waiting = list(ordered.filter(state=Command.State.ORDERED).select_related("instance__agent"))
    if not waiting:
        return _nothing_to_withdraw(incident)
    if incident.version != version:
        return _refused(incident, version)
    said = Said(actor, "withdraw", version, reason, "", False, now)
    results = [_take_back(command, said) for command in waiting]
    incidents.wait_again(incident, now)
    _tell(incident, [command.instance.agent for command in waiting], said)
    incident.refresh_from_db()
    return Outcome("withdrawn", "Withdrawn: no run had taken it up.", incident.version, results, incident)


def _asked(incident: Incident, said: Said, more: dict[str, Any]) -> Outcome:
    """A second person is needed: kept as it was said, and shown to whoever may be that one."""
    words = {"reason": said.reason, "guidance": said.guidance, "probation": said.probation, **more}
    targets = {str(pk): str(order.target) for pk, order in said.orders.items()}
    asked = approvals.ask(
        actor=said.actor, incident=incident, verb=said.verb, words=words, targets=targets, now=said.now
    )
    return Outcome(asked.name, asked.sentence, incident.version, incident=incident)


def _take_back(command: Command, said: Said) -> Result:
    Command.objects.filter(pk=command.pk, state=Command.State.ORDERED).update(
        state=Command.State.WITHDRAWN, done_at=said.now, why=text(f"withdrawn by {said.actor.name}", 500)
    )
    stopped = command.kind == Command.Kind.START
    Pause.objects.filter(commands=command, state=PauseState.DECIDED).update(
        state=PauseState.STOPPED if stopped else PauseState.PAUSED,
        settled_at=said.now if stopped else None,
    )
    return Result(command.instance.agent.name, command.instance.name, "withdrawn", "not taken up")


def _nothing_to_withdraw(incident: Incident) -> Outcome:
    """A run was first, or there is no decision that waits."""
    taken = Command.objects.filter(decision__incident=incident, taken_at__isnull=False).order_by("-taken_at")
    last = taken.select_related("instance__agent").first()
    if last is None or last.taken_at is None:
        sentence = "No decision of this incident waits to be taken up."
        return Outcome("nothing_to_decide", sentence, incident.version, incident=incident)
    who = last.instance.agent.name
    sentence = f"{who} took it up at {last.taken_at:%H:%M:%S}, so it holds. Pause it again to hold it still."
    return Outcome("taken_up", sentence, incident.version, incident=incident)


def lock_those_of(incident_id: int) -> None:
    """The instances of an incident, before anything of it is moved."""
    mine = Instance.objects.filter(Q(pauses__incident=incident_id) | Q(incidents=incident_id))
    _lock_instances(mine.values_list("pk"))


def _lock_instances(ids: Iterable[int] | QuerySet[Instance, Any]) -> None:
    rows = Instance.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk")
    list(rows.values_list("pk", flat=True))


def _hold_the_unpaused(incident: Incident, named: set[str] | None, said: Said) -> None:
    """Stopping what is silent, late or blocked: nothing holds it yet, so it is paused first."""
    held = Pause.objects.filter(state__in=pauses.HOLDING).values("instance")
    free = incident.instances.exclude(pk__in=held).select_related("agent").order_by("pk")
    for instance in free:
        if named is None or instance.agent.name in named:
            pauses.hold(instance, incident, text(f"{said.actor.name} stops it: {said.reason}", 500), said.now)


def _refused(incident: Incident, shown: int) -> Outcome:
    """Why this version cannot be decided: somebody decided from it, or what it showed has changed."""
    winner = Decision.objects.filter(incident=incident, version=shown).order_by("at").first()
    if winner is not None:
        sentence = (
            f"{winner.by} decided first: {winner.verb}, at {winner.at:%H:%M:%S}. Yours was not applied."
        )
        return Outcome("lost", sentence, incident.version, incident=incident)
    newest = Decision.objects.filter(incident=incident, version__gt=shown).order_by("-at").first()
    if newest is not None:
        changed = f"{newest.by} decided {newest.verb} at {newest.at:%H:%M:%S}"
    else:
        changed = f"it is {incident.get_state_display().lower()}, and an agent's status or failures changed"
    sentence = (
        f"This incident moved on: you saw version {shown}, it is version {incident.version} now; {changed}."
    )
    return Outcome("stale", sentence, incident.version, incident=incident)


def _settle_one(pause: Pause, said: Said) -> Result:
    """One decision, one command; where no process lives, a stop is true at once."""
    instance, order = pause.instance, said.orders.get(pause.instance_id)
    decision = Decision.objects.create(
        incident_id=pause.incident_id,
        pause=pause,
        verb=said.verb,
        version=said.version,
        reason=text(said.reason, 500),
        guidance=text(said.guidance, 20_000),
        probation=said.probation,
        target=order.target if order else None,
        by=said.actor.name,
        at=said.now,
    )
    heard = pauses.listens(instance, said.now)
    dead_stop = said.verb == "stop" and not heard
    state = PauseState.STOPPED if dead_stop else PauseState.DECIDED
    Pause.objects.filter(pk=pause.pk).update(state=state, settled_at=said.now if dead_stop else None)
    payload = {
        "pause": str(pause.pk),
        "decision": str(decision.pk),
        "incident": pause.incident_id,
        "reason": decision.reason,
        "guidance": decision.guidance or None,
        "probation": decision.probation,
        "by": decision.by,
        **(order.payload if order else {}),
    }
    command = commands.order(
        instance=instance,
        kind=Command.Kind(said.verb),
        payload=payload,
        pause=pause,
        decision=decision,
        now=said.now,
    )
    if dead_stop:
        pauses.show(instance, Status.STOPPED, said.now)
        return Result(instance.agent.name, instance.name, "stopped", "now: no process runs", command)
    when = "at its next safe point" if heard else "when it next starts"
    return Result(instance.agent.name, instance.name, "ordered", when, command)


def _after(incident: Incident, concerned: list[Agent], said: Said) -> None:
    """The incident moves on once no pause waits; a stop of the dead may have settled it already."""
    if not Pause.objects.filter(incident=incident, state__in=WAITING).exists():
        undecided = Incident.objects.filter(pk=incident.pk, state__in=UNDECIDED)
        if undecided.update(state=IncidentState.DECIDED, decided_at=said.now):
            alerts.resolved(incident, said.now)
    incidents.settle(incident.pk, said.now)
    _tell(incident, concerned, said)


def _tell(incident: Incident, concerned: list[Agent], said: Said) -> None:
    """The timeline, the pages and the log; the log's lock comes last."""
    agents = {agent.pk: agent for agent in concerned}
    for pk in sorted(agents):
        pauses.refresh_agent(pk, said.now)
        Agent.objects.filter(pk=pk).update(unattended_since=said.now)
        title = f"{said.actor.name} {SAID[said.verb]}" + (f": {said.reason}" if said.reason else "")
        body = {"guidance": said.guidance, "probation": said.probation, "version": said.version}
        done = "withdrawn" if said.verb == "withdraw" else "decided"
        pauses.note(agents[pk], None, Kind.DECISION, said.verb, done, title, incident.pk, body, said.now)
    announce.changed_agents(agents, incident.project_id)
    what = {"withdraw": "withdrawn"}.get(said.verb, f"decided: {said.verb}")
    alerts.changed(incident, what, str(said.now.timestamp()), said.now)
    names = sorted(agent.name for agent in agents.values())
    audit.record(
        project_id=incident.project_id,
        actor=said.actor.name,
        verb=said.verb,
        object=f"incident {incident.pk}",
        reason=said.reason,
        saw={
            "version": said.version,
            "title": incident.title,
            "agents": names,
            "guidance": said.guidance[:500],
        },
        now=said.now,
    )


def _summary(said: Said, decided: list[Pause]) -> str:
    gone = sum(not pauses.listens(pause.instance, said.now) for pause in decided)
    if gone and said.verb != "stop":
        return (
            "Taken up when it next starts." if gone == len(decided) else f"{gone} take it up when they start."
        )
    return "Ordered." if said.verb != "stop" else "Stopped."
