"""The decision: what may be done about an incident, what each button does, what became of it.

The panel has one face at a time. *open*: a pause waits for a decision. *followed*: it was decided, and the
page follows the command. *second*: one person asked, another confirms. *stopped*: it may be started again.
*itself*: nothing is held, it ends by itself.
*asked*: nothing is held, and effects wait to be answered for. *closed*: it is over.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from agents import access
from agents.access import Actor
from agents.models import Cause, Command, Decision, Incident, IncidentState, Instance, Pause, PauseState
from agents.queries import budgets
from agents.queries.incidents import UNDECIDED
from agents.services import pauses
from checkpoints.models import Rollback
from dashboard import phrasing
from dashboard.contexts import second, trying
from dashboard.contexts.fleet import said
from dashboard.contexts.rolling import one

WAITING = (PauseState.PAUSING, PauseState.PAUSED)
REASONS = {
    "resume": [
        ("known bug", "Known bug"),
        ("fixed outside", "Fixed outside"),
        ("false alarm", "False alarm"),
        ("try once more", "Try once more"),
    ],
    "question": [
        ("answered", "Answered"),
        ("known bug", "Known bug"),
    ],
    "rollback": [
        ("went wrong since", "Went wrong since"),
        ("corrupt state", "Corrupt state"),
        ("known bug", "Known bug"),
        ("try once more", "Try once more"),
    ],
    "stop": [
        ("does harm", "Does harm"),
        ("needs a fix", "Needs a fix"),
        ("no longer needed", "No longer needed"),
        ("replaced", "Replaced"),
    ],
    "start": [
        ("fixed", "Fixed"),
        ("needed again", "Needed again"),
        ("stopped by mistake", "Stopped by mistake"),
        ("try once more", "Try once more"),
    ],
}
PAUSE_REASONS = [
    ("looks wrong", "Looks wrong"),
    ("change ahead", "Change ahead"),
    ("costs too much", "Costs too much"),
    ("drill", "Drill"),
]
UNDO_REASONS = [
    ("rolled back by mistake", "Rolled back by mistake"),
    ("wrong checkpoint", "Wrong checkpoint"),
    ("made it worse", "Made it worse"),
    ("try once more", "Try once more"),
]
ANSWER = "Your answer; without a word it is yes"
HOLDING = (*WAITING, PauseState.DECIDED, PauseState.STOPPED)
STOPPABLE = (Cause.SILENCE, Cause.MISSED, Cause.BLOCKED)
ITSELF = {
    Cause.SILENCE: "It closes by itself when the agent is heard again, and says so.",
    Cause.MISSED: "It closes by itself when the agent starts, and says so.",
    Cause.BLOCKED: "It tries again by itself, and its budget is untouched. This closes at its first success.",
}
BY = {"resume": "Resumed", "stop": "Stopped", "start": "Started again", "rollback": "Rolled back"}


@dataclass(frozen=True, slots=True)
class Followed:
    """One pause that was decided about, and how far its command has come."""

    pause: Pause
    instance: Instance
    decision: Decision
    command: Command | None
    verb: str
    proven: str
    hears: bool
    restoring: list[one.Step] = field(default_factory=list)

    @property
    def taken_at(self) -> datetime | None:
        return (self.command.taken_at or self.command.done_at) if self.command else None

    @property
    def refused(self) -> bool:
        return self.command is not None and self.command.state == Command.State.REFUSED

    @property
    def rollback(self) -> str:
        """The id of the rollback that was decided, which has a page of its own."""
        return str(self.command.payload.get("rollback", "")) if self.command else ""

    @property
    def ended(self) -> bool:
        """Stopped, and no process is there to be told: nothing is left that could be taken up."""
        return self.pause.state == PauseState.STOPPED

    @property
    def waits(self) -> bool:
        return self.command is not None and self.command.state == Command.State.ORDERED


def panel(incident: Incident, instances: list[Instance], actor: Actor, now: datetime) -> dict[str, Any]:
    """Everything the decision panel, the phone's bar and its sheets show."""
    held = list(incident.pauses.all())
    waiting = [pause for pause in held if pause.state in WAITING]
    gone = sum(not pauses.listens(pause.instance, now) for pause in waiting)
    followed = _followed(incident, held, now)
    asked = second.shown(incident, actor)
    face = "second" if asked["proposal"] else _face(incident, waiting, held, followed)
    agents = sorted({pause.instance.agent.name for pause in waiting})
    asks = incident.cause == Cause.QUESTION
    told = f"Tell {_each(agents, incident)} something, optional"
    return {
        **asked,
        **trying.shown(incident, agents),
        "on_probation": True,
        "needs_second": any(pause.instance.agent.two_people for pause in waiting),
        "face": face,
        "asks": asks,
        "panel": f"partials/incident_panel_{face}.html",
        "waiting_pauses": waiting,
        "decides_for": agents,
        "followed": followed,
        "may_decide": access.can(actor, "decide", incident),
        "may_withdraw": access.can(actor, "decide", incident)
        and any(f.waits and not f.hears for f in followed),
        "may_pause": access.can(actor, "pause", incident),
        "reasons": REASONS["start" if face == "stopped" else "question" if asks else "resume"],
        "rollback_reasons": REASONS["rollback"],
        "stop_reasons": REASONS["stop"],
        "resume_does": _resume_does(waiting, gone, now),
        "stop_does": _stop_does(waiting, gone),
        "finishes": [said(pause.in_flight) for pause in waiting if pause.in_flight],
        "guidance_label": ANSWER if asks else told,
        "back_guidance_label": told,
        "resume_title": f"Resume {_named(agents, incident)}",
        "stop_title": f"Stop {_named(agents, incident)}",
        "may_stop": incident.state in UNDECIDED and incident.cause in STOPPABLE,
        "pause_again": _pause_again(held, instances),
        "ends_by_itself": ITSELF.get(Cause(incident.cause), "Nothing waits for a decision."),
    }


def _named(agents: list[str], incident: Incident) -> str:
    if len(agents) > 1:
        return f"{len(agents)} agents"
    return agents[0] if agents else incident.agent.name


def _each(agents: list[str], incident: Incident) -> str:
    """Whom guidance reaches."""
    if len(agents) > 1:
        return "both agents" if len(agents) == 2 else f"all {len(agents)} agents"
    return agents[0] if agents else incident.agent.name


def _pause_again(pauses: list[Pause], instances: list[Instance]) -> str:
    """The query of the pause page: the agents of this incident that nothing holds now."""
    held = {pause.instance.agent_id for pause in pauses if pause.state in HOLDING}
    return urlencode(
        [("agent", name) for name in sorted({i.agent.name for i in instances if i.agent_id not in held})]
    )


def _face(incident: Incident, waiting: list[Pause], pauses: list[Pause], followed: list[Followed]) -> str:
    if waiting:
        return "open"
    if any(pause.state == PauseState.STOPPED for pause in pauses):
        return "stopped"
    if incident.cause == Cause.EFFECT and not followed:
        return "asked"
    if incident.state == IncidentState.CLOSED and not followed:
        return "closed"
    return "followed" if followed else "itself"


def _followed(incident: Incident, found: list[Pause], now: datetime) -> list[Followed]:
    """The newest decision about each pause, with its command."""
    void = {
        c.decision_id for pause in found for c in pause.commands.all() if c.state == Command.State.WITHDRAWN
    }
    newest = {decision.pause_id: decision for decision in incident.decisions.all() if decision.pk not in void}
    followed = []
    for pause in found:
        decision = newest.get(pause.pk)
        if decision is None:
            continue
        commands = [c for c in pause.commands.all() if c.decision_id == decision.pk]
        done = budgets.probation_done(pause.instance)
        followed.append(
            Followed(
                pause=pause,
                instance=pause.instance,
                decision=decision,
                command=commands[-1] if commands else None,
                verb=BY[decision.verb],
                hears=pauses.listens(pause.instance, now),
                proven=f"{done[0]} of {done[1]}" if done and pause.instance.status == "probation" else "",
            )
        )
    return _restoring(followed)


def _restoring(followed: list[Followed]) -> list[Followed]:
    """With what each rollback has to show, unless nobody takes it up any more."""
    rows = Rollback.objects.select_related("command").in_bulk(
        [item.rollback for item in followed if item.rollback]
    )
    shown = {str(pk): one.restoring(row) for pk, row in rows.items() if row.stage not in one.GIVEN_UP}
    return [replace(item, restoring=shown.get(item.rollback, [])) for item in followed]


def _resume_does(waiting: list[Pause], gone: int, now: datetime) -> str:
    """What resuming does, before it is pressed."""
    if not waiting:
        return ""
    since = phrasing.day(max(pause.at for pause in waiting), now)
    later = ""
    if gone:
        later = f"{gone} of {len(waiting)} processes are gone: those take it up when they next start."
    if gone == len(waiting):
        later = "The process is gone: it is taken up when it next starts."
    return f"Goes on from where it stopped at {since}. {later}".strip()


def _stop_does(waiting: list[Pause], gone: int) -> str:
    one = len({pause.instance.agent_id for pause in waiting}) == 1
    it, its = ("it", "Its run ends") if one and len(waiting) == 1 else ("them", "Their runs end")
    if gone == len(waiting):
        at_once = "No process runs, so this is true at once."
    else:
        at_once = (
            f"{its} at once." if not gone else f"{its} at once; {gone} of {len(waiting)} have no process."
        )
    return f"{at_once} No run begins until someone starts {'it' if one else it} again."
