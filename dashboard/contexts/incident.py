"""The 3 a.m. card: what broke, what it costs to wait, what cannot be undone, who knows of it.

Everything an agent said is plain text here, bounded, and trusted for nothing: a runbook is a link only if
it is http or https. What may be decided, and what became of it, is contexts/decision.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.urls import reverse

from agents import access
from agents.access import Actor
from agents.models import Agent, Cause, Entry, Incident, Instance, Owner
from agents.queries import budgets, incidents
from agents.queries.budgets import Spent
from agents.services import alerts
from checkpoints import blast
from dashboard import phrasing
from dashboard.contexts import decision, having, holding, reported, worklist
from dashboard.contexts import effects as asking
from dashboard.contexts.entries import read, seconds
from dashboard.contexts.reported import Reported
from dashboard.contexts.since_good import Back, SinceGood, of_each, since_good
from dashboard.contexts.stuck import failed, stuck
from dashboard.contexts.values import is_long, is_sentence, line_of, recorded, text_of
from dashboard.contexts.worklist import Worklist

WORDS = {
    "verification": ("fail", "Fail"),
    "error": ("error", "Error"),
    "crash": ("error", "Crash"),
    "silence": ("transient", "Silence"),
    "blocked": ("transient", "Blocked"),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """One counted failure, with what its action was given."""

    entry: Entry
    outcome: str
    word: str
    given: str
    expected: str
    actual: str
    why: str
    lasted: float
    took: str
    agent: str = ""

    @property
    def long(self) -> bool:
        return is_long(self.expected, self.actual)

    @property
    def prose(self) -> bool:
        return is_sentence(self.expected)

    @property
    def expected_prose(self) -> bool:
        return is_long(self.expected) or is_sentence(self.expected)

    @property
    def actual_prose(self) -> bool:
        return is_long(self.actual) or is_sentence(self.actual)

    @property
    def where(self) -> str:
        """`issue_refund at 02:51:18, took 1.3 s`, and why when a verification said so."""
        at = f"{self.entry.name} at {phrasing.clock(self.entry.at)}"
        at = f"{self.agent}: {at}" if self.agent else at
        took = f"{at}, took {self.took}" if self.took else at
        return f"{took}: {self.why}" if self.why and self.why != self.expected else took


@dataclass(frozen=True, slots=True)
class Evidence:
    """What broke: the streak that spent the budget, and the older failures that count for the hour."""

    streak: list[Failure]
    older: list[Failure]
    spent: Spent
    nth: str
    limit: str

    @property
    def heading(self) -> str:
        return "What spent the budget" if self.limit else "Failures before it"

    @property
    def older_words(self) -> str:
        first, last = self.older[0].entry.at, self.older[-1].entry.at
        count = len(self.older)
        span = (
            phrasing.minute(first) if count == 1 else f"{phrasing.minute(first)} to {phrasing.minute(last)}"
        )
        counts = "failure counts" if count == 1 else "failures count"
        return f"{count} older {counts} for the hour, {span}"


@dataclass(frozen=True, slots=True)
class Party:
    """One agent of an incident about several: its own status and budget."""

    agent: Agent
    spent: Spent


def whole(incident: Incident, actor: Actor, now: datetime) -> dict[str, Any]:
    """Everything the page shows below its top bar."""
    project = incident.project
    instances = concerned(incident)
    told = alerts.told(incident)
    said = reported.reports(incident)
    found, reached = evidence(incident, instances, now), effects(incident)
    speaks = speaker(incident)
    waiting = waiting_agents(incident)
    backs = of_each(incident, instances, waiting, now)
    since = _first(backs) if backs else since_good(incident, speaks, instances, now)
    return {
        "project": project,
        "incident": incident,
        "agent": incident.agent,
        "now": now,
        "stuck": stuck(incident, instances),
        "failed_rollbacks": failed(incident, instances, incident.pauses.all()),
        "runbook": link(incident.agent.runbook),
        "instances": instances,
        "parties": parties(instances, now),
        "heading": heading(incident, instances),
        "evidence": found,
        "reports": said,
        "last_failure": found.streak[-1] if found.streak and incident.cause != Cause.EFFECT else None,
        **asking.asked(incident),
        "speaks": speaks,
        "since": since,
        "backs": backs,
        "goes_back": [back.agent.name for back in backs if back.since],
        "left_behind": [back.agent.name for back in backs if not back.since and len(waiting) == len(backs)],
        "not_named": len(waiting) - len(backs) if backs else 0,
        "worklist": reached,
        "reached_since": _reached_since(reached, since, said),
        "last": incidents.last_action(speaks.pk, incident.opened_at),
        "told": told,
        "causes": causes(incident),
        "here": f"Incident {incident.pk}",
        "here_note": _place(incident, incidents.waiting_ids(project)),
        "crumbs": [("Incidents", reverse("incidents", args=[project.name])), (str(incident.pk), "")],
        "may_acknowledge": access.can(actor, "acknowledge", incident),
        "may_target": access.can(actor, "targets", incident),
        "topics": " ".join(topics(incident, instances)),
        "trigger": ", ".join(f"live:{topic} from:body" for topic in topics(incident, instances)),
        **having.shown(incident, actor, now),
        **holding.shown(incident, instances, actor, now),
        **decision.panel(incident, instances, actor, now),
        "stays": reached.stays,
    }


def concerned(incident: Incident) -> list[Instance]:
    """The instances it is about, those of its own agent first."""
    found = {instance.pk: instance for instance in incident.instances.all()}
    for pause in incident.pauses.all():
        found.setdefault(pause.instance_id, pause.instance)
    return sorted(found.values(), key=lambda i: (i.agent_id != incident.agent_id, i.agent.name, i.name))


def waiting_agents(incident: Incident) -> set[int]:
    return {pause.instance.agent_id for pause in incident.pauses.all() if pause.state in decision.WAITING}


def _first(backs: list[Back]) -> SinceGood | None:
    return next((back.since for back in backs if back.since is not None), None)


def speaker(incident: Incident) -> Agent:
    """Whom the card is about: its own agent, or another one that waits when its own does not any more."""
    waiting = {
        p.instance.agent_id: p.instance.agent for p in incident.pauses.all() if p.state in decision.WAITING
    }
    if not waiting or incident.agent_id in waiting:
        return incident.agent
    return next(iter(waiting.values()))


def parties(instances: list[Instance], now: datetime) -> list[Party]:
    """The agents, when it is about more than one, in the order of their instances."""
    of_agent: dict[int, list[Instance]] = {}
    for instance in instances:
        of_agent.setdefault(instance.agent_id, []).append(instance)
    found = [Party(own[0].agent, budgets.of_agent(own[0].agent, own, now)) for own in of_agent.values()]
    return found if len(found) > 1 else []


def heading(incident: Incident, instances: list[Instance]) -> str:
    """What broke, and for whom when it is not for its first agent alone."""
    others = {instance.agent_id for instance in instances} - {incident.agent_id}
    return f"{incident.agent.name} and {len(others)} more: {incident.title}" if others else incident.title


def causes(incident: Incident) -> list[str]:
    """What a human or a detector said when it held the agent; a budget speaks for itself."""
    said = (p.cause for p in incident.pauses.all() if p.cause and p.owner != Owner.BUDGET)
    return list(dict.fromkeys(said))[:3]


def topics(incident: Incident, instances: list[Instance]) -> list[str]:
    """What the page listens to: the incident and every agent in it."""
    agents = sorted({incident.agent_id, *(instance.agent_id for instance in instances)})
    return [f"incident-{incident.pk}", *(f"agent-{pk}" for pk in agents[:50])]


def evidence(incident: Incident, instances: list[Instance], now: datetime) -> Evidence:
    until = incident.decided_at or incident.closed_at or now
    ids = [instance.pk for instance in instances]
    since = incidents.account_since(ids, incident.opened_at)
    failed = _of_those_that_wait(incident, incidents.failures(incident, ids, since, until))
    agents = {instance.agent_id: instance.agent for instance in instances} or {
        incident.agent_id: incident.agent
    }
    streak = _streaks(agents, failed)
    spent = {entry.id for entry in streak}
    names = {pk: agent.name for pk, agent in agents.items()} if len(agents) > 1 else {}
    return Evidence(
        streak=_failures(streak, incidents.actions_of(streak), names),
        older=_failures([entry for entry in failed if entry.id not in spent], {}, names),
        spent=_spent(incident, failed, now),
        nth=_nth(incident, failed),
        limit=_limit(incident, agents, streak),
    )


def effects(incident: Incident) -> Worklist:
    """What reached the outside world since the last known good checkpoint, or the first failure."""
    found = blast.effects_of_incident(incident)
    listed = list(found[: blast.MOST_LISTED])
    args = [incident.project.name, incident.pk]
    return worklist.of(
        listed,
        len(listed) if len(listed) < blast.MOST_LISTED else found.count(),
        back=reverse("incident", args=args),
        csv=reverse("incident_csv", args=args),
        json=reverse("incident_json", args=args),
    )


def _reached_since(found: Worklist, good: SinceGood | None, said: list[Reported]) -> str:
    """Since when they are listed, or since when a human says it was wrong, if that is all of them."""
    if said and all(line.effect.begun_at >= said[0].since for line in found.lines):
        return "since it was wrong"
    return "since last known good" if good is not None else "since the first failure"


def link(address: str) -> str:
    """The address, if a browser may be sent there; anything else is shown as text."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    return address if parts.scheme in ("http", "https") and parts.netloc else ""


def changes_since(incident: Incident, shown_at: datetime) -> list[Entry]:
    """What the timeline has that the reader of an older page has not seen."""
    return incidents.news(incident, shown_at)


def _of_those_that_wait(incident: Incident, failed: list[Entry]) -> list[Entry]:
    """The failures to decide about: of the agents that wait, or of all when none does."""
    held = {p.instance.agent_id for p in incident.pauses.all() if p.state in decision.WAITING}
    return [entry for entry in failed if entry.agent_id in held] if held else failed


def _streaks(agents: dict[int, Agent], failed: list[Entry]) -> list[Entry]:
    """What spent each agent's budget, together in the order of time."""
    of_agent: dict[int, list[Entry]] = {}
    for entry in failed:
        of_agent.setdefault(entry.agent_id, []).append(entry)
    found = [own[-_streak(agents[pk], own) :] for pk, own in of_agent.items() if pk in agents]
    return sorted((entry for own in found for entry in own), key=lambda entry: (entry.at, entry.id))


def _streak(agent: Agent, failed: list[Entry]) -> int:
    """How many of the last failures spent the budget: the streak, or all when the hour did."""
    if not failed:
        return 1
    body = read(failed[-1].body)
    streak, hourly = _count(body, "consecutive"), _count(body, "hourly")
    spent_by_hour = hourly >= agent.max_hourly and streak < agent.max_consecutive
    return len(failed) if spent_by_hour else max(1, min(streak, len(failed)))


def _spent(incident: Incident, failed: list[Entry], now: datetime) -> Spent:
    """The budget as it was decided upon: as it is now while nobody has."""
    agent = incident.agent
    if incident.decided_at is None and incident.closed_at is None:
        return budgets.of_agent(agent, agent.workers, now)
    body: Mapping[str, Any] = read(failed[-1].body) if failed else {}
    streak, hourly = _count(body, "consecutive"), _count(body, "hourly")
    return Spent(streak, agent.max_consecutive, hourly, agent.max_hourly)


def _nth(incident: Incident, failed: list[Entry]) -> str:
    """How often, in words: `7th time, 3 in a row.`"""
    streak = _count(read(failed[-1].body), "consecutive") if failed else 0
    said = []
    if incident.group:
        said.append(f"{phrasing.nth(incident.group.failures)} time")
    if streak > 1:
        said.append(f"{streak} in a row")
    return f"{', '.join(said).capitalize()}." if said else ""


def _limit(incident: Incident, agents: dict[int, Agent], streak: list[Entry]) -> str:
    """What each agent had spent, by its last failure; nothing when no budget was spent."""
    if incident.cause != Cause.BUDGET or not streak:
        return ""
    last = {entry.agent_id: entry for entry in streak}
    said = {agents[pk].name: _reached(agents[pk], entry, streak) for pk, entry in last.items()}
    if len(set(said.values())) == 1:
        return next(iter(said.values())) + (" each" if len(said) > 1 else "")
    return "; ".join(f"{name} {words}" for name, words in sorted(said.items())[:3])


def _reached(agent: Agent, last: Entry, streak: list[Entry]) -> str:
    """`3 in a row, limit 3`, or `10 this hour, limit 10`."""
    body, own = read(last.body), [entry for entry in streak if entry.agent_id == agent.pk]
    row, hour = _count(body, "consecutive"), _count(body, "hourly")
    if row < agent.max_consecutive <= agent.max_hourly <= hour:
        return f"{hour} this hour, limit {agent.max_hourly}"
    return f"{row or len(own)} in a row, limit {agent.max_consecutive}"


def _place(incident: Incident, waiting: list[int]) -> str:
    """Where it stands among those that wait, for the phone's top bar."""
    return f"{waiting.index(incident.pk) + 1} of {len(waiting)}" if incident.pk in waiting else ""


def _failures(failed: list[Entry], actions: dict[str, Entry], names: dict[int, str]) -> list[Failure]:
    """With the agent's name where there are several."""
    return [_failure(entry, actions.get(entry.id), names.get(entry.agent_id, "")) for entry in failed]


def _failure(entry: Entry, action: Entry | None, agent: str) -> Failure:
    body, given = read(entry.body), read(action.body) if action else {}
    outcome, word = WORDS.get(entry.outcome, ("error", entry.outcome.capitalize() or "Failure"))
    said = text_of(recorded(body.get("actual"))) or text_of(body.get("message"))
    exception = text_of(body.get("exception"), 200)
    if body.get("actual") in (None, "") and exception:
        said = f"{exception}: {said}" if said else exception
    lasted = seconds(given)
    return Failure(
        entry=entry,
        outcome=outcome,
        word=word,
        given=line_of(given.get("input"), 60),
        expected=text_of(body.get("expected")) or text_of(given.get("expected")),
        actual=said or entry.title,
        why=text_of(body.get("why"), 300),
        lasted=min(lasted or 0.0, 3600.0),
        took=phrasing.took(lasted) if lasted and lasted >= 0.05 else "",
        agent=agent,
    )


def _count(body: Mapping[str, Any], name: str) -> int:
    count = body.get(name)
    return count if isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 10_000 else 0


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
