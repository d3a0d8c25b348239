"""The 3 a.m. card as an alert carries it: ten lines, names and verdicts, one link, no values.

What agents wrote into names is shown as plain text: control, bidi and zero-width characters are taken out,
so that no line breaks out of its place and nothing reads as something else.
"""

from __future__ import annotations

import datetime as dt
import unicodedata
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from agents.models import Agent, Cause, Incident, IncidentState, Outbox, PauseState
from agents.services.channels import Message

CAUSES: dict[str, str] = {
    Cause.BUDGET: "its failure budget is spent",
    Cause.HUMAN: "it was paused by hand",
    Cause.SILENCE: "it is not heard from",
    Cause.MISSED: "it missed its start",
    Cause.BLOCKED: "nothing but transient errors",
    Cause.EFFECT: "an effect may have happened",
    Cause.DETECTOR: "a detector fired",
    Cause.REPORTED: "someone says it went wrong",
    Cause.QUESTION: "it waits for an answer",
}
VERBS: dict[str, str] = {
    Cause.SILENCE: "is silent",
    Cause.MISSED: "did not start",
    Cause.BLOCKED: "is blocked",
    Cause.EFFECT: "asks",
}
ASKS = "Next: open it, say whether it happened."
NEXT: dict[str, str] = {
    Outbox.About.OPENED: "Next: open it, read what broke, decide.",
    Outbox.About.AGAIN: "Again: the decision was not taken up within ten minutes.",
    Outbox.About.UNSEEN: "Nobody has it yet. Next: open it, say that you have it, decide.",
    Outbox.About.ASSIGNED: "It was given to you. Next: open it, read what broke, decide.",
    Outbox.About.JOINED: "Next: open it, one decision is about all of them.",
    Outbox.About.CLOSED: "It closed by itself; nothing is asked of you.",
    Outbox.About.RESOLVED: "It was decided; nothing is asked of you.",
    Outbox.About.CHANGED: "It changed; nothing is asked of you.",
}

SAYS_SO_ITSELF = (Outbox.About.CLOSED, Outbox.About.RESOLVED, Outbox.About.CHANGED)


def subject(row: Outbox) -> str:
    if row.about == Outbox.About.BROKEN:
        return plain(f"[Sickbay {row.target.project.name}] Alerting is broken: {row.why}", 150)
    if row.incident is None:
        return plain(f"[Sickbay {row.target.project.name}] A test", 150)
    return plain(f"[Sickbay {row.incident.project.name}] {headline(row)}", 150)


def body(row: Outbox) -> str:
    """At most ten lines."""
    if row.about == Outbox.About.BROKEN:
        return f"{headline(row)}.\nNext: open it, see which channels take messages.\n{alerts_link(row)}"
    if row.incident is None:
        said = "the daily test" if row.about == Outbox.About.DAILY else "a test"
        return f"This is {said} of the target {plain(row.target.label, 100)}.\nIf you read it, alerts arrive."
    incident, agent = row.incident, row.incident.agent
    return "\n".join(
        line
        for line in (
            headline(row),
            f"Since {incident.opened_at.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC, incident {incident.pk}.",
            f"Budget: {budget_line(agent)}.",
            f"With it: {plain(', '.join(others(incident)), 200)}." if others(incident) else "",
            f"For: {plain(agent.about, 200)}" if agent.about else "",
            f"Whose: {plain(agent.owner, 100)}" if agent.owner else "",
            f"While it waits: {plain(agent.while_paused, 200)}" if agent.while_paused else "",
            f"Told: {plain(row.why, 200)}." if row.why and row.about != Outbox.About.CHANGED else "",
            _next(row),
            link(incident),
        )
        if line
    )


def message(row: Outbox) -> Message:
    """The same for a channel of another service."""
    if row.incident is None:
        wakes_nobody = row.about == Outbox.About.DAILY
        thread = f"sickbay-test-{row.pk}"
        return Message(subject(row), body(row), alerts_link(row), thread, is_over=wakes_nobody)
    over = row.about in (Outbox.About.CLOSED, Outbox.About.RESOLVED) or is_over(row)
    thread = f"sickbay-{urlsplit(settings.SITE_URL).netloc}-{row.incident.pk}"
    return Message(subject(row), body(row), link(row.incident), thread, over)


def is_over(row: Outbox) -> bool:
    """It was decided before this could be sent: whoever reads it late is not asked for anything."""
    if row.incident is None or row.about in SAYS_SO_ITSELF:
        return False
    over = (IncidentState.APPLIED, IncidentState.CLOSED)
    decided = over if row.about == Outbox.About.AGAIN else (*over, IncidentState.DECIDED)
    return row.incident.state in decided


def _next(row: Outbox) -> str:
    if is_over(row):
        return "It was decided before this was sent: nothing is asked of you."
    asks = row.incident is not None and row.incident.cause == Cause.EFFECT
    return ASKS if asks and row.about == Outbox.About.OPENED else NEXT.get(row.about, "")


def payload(row: Outbox, now: dt.datetime) -> dict[str, Any]:
    """The same as data, after Standard Webhooks: type, timestamp, data."""
    said: dict[str, Any] = {"summary": headline(row), "text": body(row), "project": row.target.project.name}
    kind = _kind(row) if row.incident is None else f"incident.{row.about}"
    if row.about == Outbox.About.CHANGED:
        said["change"] = row.why
    if row.incident is not None:
        incident = row.incident
        said |= {
            "incident": incident.pk,
            "cause": incident.cause,
            "state": incident.state,
            "what": what(incident),
            "agents": [plain(name, 63) for name in [incident.agent.name, *others(incident)]],
            "opened_at": incident.opened_at.astimezone(dt.UTC).isoformat(),
            "url": link(incident),
        }
    return {"type": kind, "timestamp": now.astimezone(dt.UTC).isoformat(), "data": said}


def _kind(row: Outbox) -> str:
    return "alerting.broken" if row.about == Outbox.About.BROKEN else "test"


def headline(row: Outbox) -> str:
    if row.about == Outbox.About.BROKEN:
        return plain(f"Alerting is broken: {row.why}", 300)
    if row.incident is None:
        return "This is a test"
    incident = row.incident
    if row.about == Outbox.About.CHANGED:
        return plain(f"Incident {incident.pk} of {incident.agent.name} is {row.why}", 300)
    verb = VERBS.get(Cause(incident.cause), "is paused")
    if row.about == Outbox.About.CLOSED:
        verb = "is answered" if incident.cause == Cause.EFFECT else "is back"
    elif row.about == Outbox.About.RESOLVED or is_over(row):
        verb = "needed a decision, and has it"
    who, *more = held(incident)
    if row.about == Outbox.About.JOINED and more:
        who, verb = f"{who} and {len(more)} more", verb.replace("is ", "are ")
    return plain(f"{who} {verb}: {what(incident)}", 300)


def what(incident: Incident) -> str:
    """The failure group's name when there is one; never a message, which may hold values."""
    return plain(incident.group.title, 200) if incident.group else CAUSES[incident.cause]


def budget_line(agent: Agent) -> str:
    highest = max(agent.instances.values_list("consecutive", "hourly"), default=(0, 0))
    hourly = max(agent.instances.values_list("hourly", flat=True), default=0)
    return f"{highest[0]} of {agent.max_consecutive} in a row, {hourly} of {agent.max_hourly} this hour"


def others(incident: Incident) -> list[str]:
    """The names of the other agents of a shared incident, the newest first."""
    part = incident.instances.through.objects.filter(incident=incident).order_by("-pk")
    names = part.exclude(instance__agent_id=incident.agent_id).values_list("instance__agent__name", flat=True)
    return list(dict.fromkeys(names))[:50]


def held(incident: Incident) -> list[str]:
    """The names of the agents that wait for the decision; all of them where nothing waits."""
    names = [incident.agent.name, *others(incident)]
    waiting = incident.pauses.filter(state__in=(PauseState.PAUSING, PauseState.PAUSED))
    still = set(waiting.values_list("instance__agent__name", flat=True))
    return [name for name in names if name in still] or names


def link(incident: Incident) -> str:
    return f"{settings.SITE_URL}/p/{incident.project.name}/incidents/{incident.pk}/"


def alerts_link(row: Outbox) -> str:
    return f"{settings.SITE_URL}/p/{row.target.project.name}/alerts/"


def plain(value: str, limit: int) -> str:
    """One line of visible text."""
    spaced = " ".join(value.split())
    shown = "".join(c for c in spaced if unicodedata.category(c)[0] != "C")
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
