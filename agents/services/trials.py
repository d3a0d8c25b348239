"""Try one first: of several agents with one cause one goes on, on probation, and the others follow it.

They follow by themselves once it has passed three actions with the tool of the incident, or any three where
no tool is concerned. When it fails (it pauses again, is stopped, its resume is refused or taken back) they
stay paused, and the incident says why. Whoever else decides about them ends it.

The row is the truth and beat looks at it: `look` moves each trial on under the locks of its incident, so a
server or worker may die at any instant, and the others follow once.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db import transaction

from agents import announce
from agents.access import Actor
from agents.models import Command, Entry, Incident, Kind, Pause, PauseState, Trial
from agents.services import approvals, audit, decisions, pauses
from agents.services.decisions import WAITING, Outcome
from agents.services.snapshots import text

WANTED = 3
PASSED = ("ok", "already")


@transaction.atomic
def begin(
    *,
    actor: Actor,
    incident_id: int,
    agent: str,
    version: int,
    reason: str,
    now: dt.datetime,
    guidance: str = "",
    confirmed: bool = False,
) -> Outcome:
    """Resume this one on probation; the others that wait now follow it or stay."""
    decisions.lock_those_of(incident_id)
    mine = Incident.objects.filter(pk=incident_id, project_id=actor.project_id)
    incident = mine.select_for_update(of=("self",)).select_related("group").first()
    held = _waiting(incident)
    said: dict[str, Any] = {
        "actor": actor, "incident_id": incident_id, "verb": "resume", "version": version, "reason": reason,
        "guidance": guidance, "now": now,
    }  # fmt: skip
    if not confirmed and approvals.needed(pause.instance.agent for pause in held):
        return decisions.decide(**said, more={"first": agent})
    first = [pause.pk for pause in held if pause.instance.agent.name == agent]
    rest = [pause.pk for pause in held if pause.pk not in first]
    if incident is not None and incident.version == version and not (first and rest):
        sentence = f"{agent} and another agent of this incident do not both wait."
        return Outcome("nothing_to_decide", sentence, version, incident=incident)
    earlier = (
        Trial.objects.filter(incident=incident, state=Trial.State.TRYING).select_related("agent").first()
    )
    if earlier is not None:
        sentence = f"{earlier.agent.name} goes first already, by {earlier.by}."
        return Outcome("nothing_to_decide", sentence, version, incident=incident)
    outcome = decisions.decide(**said, agents=[agent], confirmed=True)
    if outcome.name == "decided" and incident is not None:
        pilot = next(pause.instance.agent for pause in held if pause.pk in first)
        trial = Trial.objects.create(
            incident=incident, agent=pilot, first=[str(pk) for pk in first], rest=[str(pk) for pk in rest],
            tool=incident.group.action if incident.group else "", reason=text(reason, 500), guidance=guidance,
            by=actor.name, at=now,
        )  # fmt: skip
        _audit(trial, actor.name, "try one first", reason, now)
    return outcome


@transaction.atomic
def call_off(*, actor: Actor, incident_id: int, now: dt.datetime) -> bool:
    """The others do not follow by themselves; the one that went first goes on."""
    mine = Incident.objects.filter(pk=incident_id, project_id=actor.project_id)
    if mine.select_for_update().first() is None:
        return False
    trial = Trial.objects.filter(incident=incident_id, state=Trial.State.TRYING).first()
    why = f"{actor.name} called it off: the others wait for a decision."
    return trial is not None and _end(trial, Trial.State.ENDED, why, actor.name, now)


def look(now: dt.datetime) -> int:
    """Move on what is being tried; how many have ended."""
    ended = 0
    for pk, incident_id in Trial.objects.filter(state=Trial.State.TRYING).values_list("pk", "incident_id"):
        with transaction.atomic():
            decisions.lock_those_of(incident_id)
            Incident.objects.select_for_update().get(pk=incident_id)
            trial = Trial.objects.select_related("incident", "agent").get(pk=pk)
            ended += trial.state == Trial.State.TRYING and _look(trial, now)
    return ended


def following(trial: Trial) -> list[Pause]:
    """Who follows: those of then that wait still."""
    found = Pause.objects.filter(pk__in=trial.rest, state__in=WAITING)
    return list(found.select_related("instance__agent").order_by("instance__agent__name"))


def _look(trial: Trial, now: dt.datetime) -> bool:
    rest = following(trial)
    if not rest:
        return _end(trial, Trial.State.ENDED, "Somebody decided about the others.", "sickbay", now)
    why = _failed(trial)
    if why:
        return _end(trial, Trial.State.FAILED, f"{why} The others stay paused.", "sickbay", now)
    passed = _passed(trial)
    if passed != trial.passed:
        Trial.objects.filter(pk=trial.pk).update(passed=passed)
        trial.passed = passed
        announce.announce(f"incident-{trial.incident_id}", trial.incident.version)
    return passed >= WANTED and _follow(trial, rest, now)


def _failed(trial: Trial) -> str:
    """Why the one that went first did not prove itself, or nothing."""
    name = trial.agent.name
    for pause in Pause.objects.filter(pk__in=trial.first):
        if pause.state == PauseState.STOPPED:
            return f"{name} was stopped."
        if pause.state in WAITING:
            return f"{name} did not go on: its resume was taken back or refused."
    again = Pause.objects.filter(instance__agent=trial.agent, state__in=pauses.HOLDING, at__gte=trial.at)
    if (newer := again.exclude(pk__in=trial.first).order_by("at").first()) is not None:
        return f"{name} paused again at {newer.at:%H:%M:%S}: {newer.cause}."
    return ""


def _passed(trial: Trial) -> int:
    """Actions that went well since it took its resume up; those without a verdict too, unknown ones not."""
    taken = Command.objects.filter(pause__in=trial.first, kind=Command.Kind.RESUME, taken_at__gte=trial.at)
    since = taken.order_by("taken_at").values_list("taken_at", flat=True).first()
    if since is None:
        return 0
    found = Entry.objects.filter(
        agent_id=trial.agent_id, at__gte=since, kind=Kind.ACTION, outcome__in=PASSED, verdict__in=("", "pass")
    )
    if trial.tool:
        found = found.filter(name=trial.tool)
    return len(found.values_list("id")[:WANTED])


def _follow(trial: Trial, rest: list[Pause], now: dt.datetime) -> bool:
    """The others go on, by the decision of whoever tried; one that was paused anew meanwhile does not."""
    ids = {pause.pk for pause in rest}
    others = {p.instance.agent.name for p in _waiting(trial.incident) if p.pk not in ids}
    names = sorted({pause.instance.agent.name for pause in rest} - others)
    tried = f"{trial.agent.name} passed {WANTED} actions" + (f" with {trial.tool}" if trial.tool else "")
    if not names:
        return _end(trial, Trial.State.ENDED, "The others were paused anew.", "sickbay", now)
    decisions.decide(
        actor=Actor("person", trial.by, trial.incident.project_id), incident_id=trial.incident_id,
        verb="resume", version=Incident.objects.values_list("version", flat=True).get(pk=trial.incident_id),
        reason=f"{trial.reason}; {tried}", guidance=trial.guidance, agents=names, confirmed=True, now=now,
    )  # fmt: skip
    return _end(trial, Trial.State.PASSED, f"{tried}, and {', '.join(names)} followed.", "sickbay", now)


def _end(trial: Trial, state: str, why: str, by: str, now: dt.datetime) -> bool:
    rows = Trial.objects.filter(pk=trial.pk, state=Trial.State.TRYING)
    if not rows.update(state=state, why=text(why, 500), ended_at=now):
        return False
    incident = trial.incident
    pauses.note(
        trial.agent, None, Kind.DECISION, "try one first", state, why, incident.pk, {"rest": trial.rest}, now
    )
    announce.announce(f"incident-{incident.pk}", incident.version)
    announce.changed_agent(trial.agent_id, incident.project_id)
    _audit(trial, by, f"try one first: {state}", why, now)
    return True


def _waiting(incident: Incident | None) -> list[Pause]:
    found = Pause.objects.filter(incident=incident, state__in=WAITING) if incident else Pause.objects.none()
    return list(found.select_related("instance__agent").order_by("instance_id"))


def _audit(trial: Trial, by: str, verb: str, reason: str, now: dt.datetime) -> None:
    audit.record(
        project_id=trial.incident.project_id, actor=by, verb=verb, object=f"incident {trial.incident_id}",
        reason=reason, now=now,
        saw={"first": trial.agent.name, "tool": trial.tool, "others": trial.rest, "passed": trial.passed},
    )  # fmt: skip
