"""One rollback, live: how far it has come, what proves it, what was kept aside, and what may be done."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.urls import reverse

from agents import access
from agents.access import Actor
from agents.models import Command, Pause
from agents.services import pauses
from checkpoints import blast, proving, queries
from checkpoints.models import Checkpoint, Rollback
from dashboard import phrasing
from dashboard.contexts import worklist
from dashboard.contexts.rolling import asked as wishes
from dashboard.contexts.standings import Named
from dashboard.marks import Mark

State = Rollback.State
UNDER_WAY = (State.ORDERED, State.TAKEN, State.RESTORING)
SHORT = 12
KEPT_SHOWN = 100
ASKED_BY = {
    Rollback.AskedBy.AGENT: "By the agent itself",
    Rollback.AskedBy.VERDICT: "By the agent itself, after a failed verification",
}
SCOPES = {"": "Everything", "memory": "The memory", "workspace": "The workspace"}


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the progress; `look` is done, waits, failed or later."""

    look: str
    words: str
    at: datetime | None = None
    why: str = ""


def whole(row: Rollback, actor: Actor, now: datetime) -> dict[str, Any]:
    """Everything below the top bar."""
    target, agent = queries.of_agent(row.agent_id, row.checkpoint), row.agent
    project = agent.project
    may = access.can(actor, "decide", row)
    before = queries.of_agent(row.agent_id, row.before) if row.before else None
    effects = blast.effects_of_rollback(row)
    shown = list(effects[: blast.MOST_LISTED])
    here = reverse("rollback", args=[project.name, row.pk])
    pause = _pause(row)
    return {
        "project": project, "agent": agent, "now": now, "rollback": row, "instance": row.instance,
        "target": Named(target) if target else None, "back_to": _back_to(row, target, now),
        "state": row.stage, "mark": MARKS[row.stage],
        "steps": steps(row, pause, now), "scope": _scope(row), "proofs": proofs(row), "may_decide": may,
        "kept": row.kept[:KEPT_SHOWN], "kept_more": max(0, len(row.kept) - KEPT_SHOWN),
        "may_withdraw": may and row.stage == State.ORDERED,
        "undo": _again(row, before) if row.stage == State.VERIFIED and before else "",
        "before": Named(before) if before else None,
        "again": _again(row, target) if row.stage in AGAIN and target else "",
        "under_way": row.stage in UNDER_WAY, "waits": pause if pause and pause.state in WAITING else None,
        "worklist": worklist.of(
            shown, len(shown) if len(shown) < blast.MOST_LISTED else effects.count(), back=here,
            csv=f"{here}effects.csv", json=f"{here}effects.json",
        ),
        "crumbs": [
            (agent.name, reverse("agent", args=[project.name, agent.name])),
            ("Checkpoints", reverse("agent_checkpoints", args=[project.name, agent.name])),
            ("Rollback", ""),
        ],
        "here": here, "topics": _topics(row), "all_topics": _all_topics(row),
    }  # fmt: skip


MARKS: dict[str, Mark] = {
    State.ORDERED: Mark("send", "", "ordered"),
    State.TAKEN: Mark("loader", "mend", "taken up"),
    State.RESTORING: Mark("loader", "mend", "under way"),
    State.APPLIED: Mark("loader", "mend", "being proven"),
    State.VERIFIED: Mark("circle-check", "good", "verified"),
    State.FAILED: Mark("circle-x", "bad", "failed"),
    State.REFUSED: Mark("ban", "warn", "refused"),
    State.WITHDRAWN: Mark("undo-2", "", "withdrawn"),
    State.OVERTAKEN: Mark("circle-slash", "", "overtaken"),
}
AGAIN = (State.FAILED, State.REFUSED, State.WITHDRAWN, State.OVERTAKEN)
WAITING = ("pausing", "paused")


def steps(row: Rollback, pause: Pause | None, now: datetime) -> list[Step]:
    """Ordered, taken up, restoring, verified, and how the agent is then; up to where it has come."""
    command = row.command
    by = ASKED_BY.get(Rollback.AskedBy(row.asked_by), f"Ordered by {row.by}")
    found = [Step("done", by, row.ordered_at)]
    if row.stage in (State.WITHDRAWN, State.OVERTAKEN, State.REFUSED):
        return [
            *found,
            Step("failed", GIVEN_UP[row.stage], command.done_at if command else None, _why(command)),
        ]
    if command is not None:
        found.append(_taken(row, command, now))
    return [*found, *restoring(row)]


def restoring(row: Rollback) -> list[Step]:
    """Restoring and verified: up to where it has come, and what is still to come."""
    found = []
    if row.began_at is not None:
        waits = row.state == State.RESTORING
        found.append(Step("waits" if waits else "done", "Restoring" if waits else "Restored", row.began_at))
        if waits and row.why:
            found.append(Step("failed", "In the way: clear it, then resume or restart", None, row.why))
    if row.state == State.FAILED:
        return [*found, Step("failed", _failed(row), row.ended_at, row.why)]
    if row.state == State.VERIFIED:
        return [*found, Step("done", "Verified: what is there is the checkpoint's", row.ended_at)]
    later = ["Restored"] if row.began_at is None else []
    return [*found, *(Step("later", words) for words in [*later, "Verified"])]


GIVEN_UP: dict[str, str] = {
    State.WITHDRAWN: "Withdrawn before any run took it up",
    State.OVERTAKEN: "Overtaken by a later decision",
    State.REFUSED: "Refused by the agent",
}


def proofs(row: Rollback) -> list[tuple[str, str]]:
    """The names of what is there now, in short."""
    if row.state != State.VERIFIED:
        return []
    scope, found = proving.scope_of(row.scope), []
    if scope.memory and row.memory is not None:
        found.append(("memory", bytes(row.memory).hex()[:SHORT]))
    if scope.workspace and scope.paths is None and row.workspace is not None:
        found.append(("workspace", bytes(row.workspace).hex()[:SHORT]))
    for path in scope.paths or ():
        name = (row.paths or {}).get(path)
        found.append((path, name[:SHORT] if isinstance(name, str) else "not there"))
    return found[:KEPT_SHOWN]


def _taken(row: Rollback, command: Command, now: datetime) -> Step:
    at = command.taken_at or row.began_at
    if at is not None:
        host = f" on {row.instance.host}" if row.instance.host else ""
        return Step("done", f"Taken up{host}", at)
    if pauses.listens(row.instance, now):
        return Step("waits", "Waits for its next safe point")
    return Step("waits", "No process runs: taken up when it next starts", None, _gone(row, now))


def _gone(row: Rollback, now: datetime) -> str:
    since = row.instance.gone_since
    return f"The process is gone since {phrasing.day(since, now)}." if since else ""


def _why(command: Command | None) -> str:
    return command.why if command is not None else ""


def _failed(row: Rollback) -> str:
    """An agent that gives up has changed nothing; one that says *applied* and is not there has."""
    if row.memory is not None or row.workspace is not None:
        return "Failed: what is there is not the checkpoint's"
    return "Failed, and nothing was changed"


def _scope(row: Rollback) -> str:
    wish = wishes.of_scope(row.scope)
    if wish.scope == wishes.FILES:
        return "1 file" if len(wish.paths) == 1 else phrasing.some(len(wish.paths), "file")
    return SCOPES[wish.scope]


def _back_to(row: Rollback, target: Checkpoint | None, now: datetime) -> str:
    if target is None:
        return "to a checkpoint that is no longer kept"
    return f"to {phrasing.day(target.at, now)}"


def _again(row: Rollback, target: Checkpoint) -> str:
    """The page that asks before the same scope goes to this checkpoint."""
    wish = wishes.of_scope(row.scope, goes_on=row.goes_on)
    target.agent = row.agent
    if [wish.scope] == wishes.offered(target)[:1]:
        wish = replace(wish, scope=wishes.EVERYTHING)
    return reverse("roll_back", args=[row.agent.project.name, target.pk]) + wish.query()


def _pause(row: Rollback) -> Pause | None:
    return pauses.holding(row.instance)


def _topics(row: Rollback) -> list[str]:
    """While it is under way every word of the agent; then only how it is."""
    incident = [f"incident-{row.incident}"] if row.incident else []
    agent = "agent" if row.stage in UNDER_WAY or row.state == State.APPLIED else "standing"
    return [f"{agent}-{row.agent_id}", *incident]


def _all_topics(row: Rollback) -> str:
    """The page listens to all of them; its region changes which ones it goes by."""
    return " ".join([f"agent-{row.agent_id}", f"standing-{row.agent_id}", *_topics(row)[1:]])
