"""Who has an incident, until when, who is told next, and what was written beside it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q

from agents import access
from agents.access import Actor
from agents.models import Escalation, Incident, Note, Role, User
from agents.queries import duty
from agents.queries.incidents import UNDECIDED
from dashboard.contexts.on_call import words

FOR = (("30", "30 minutes"), ("60", "1 hour"), ("240", "4 hours"), ("480", "8 hours"), ("1440", "a day"))
NOTES = 20


@dataclass(frozen=True, slots=True)
class Having:
    """`until`: when it is asked of everybody again; `next`: whom the next page goes to, and when."""

    who: str
    until: datetime | None
    is_snoozed: bool
    next: str
    next_at: datetime | None
    is_spent: bool


def shown(incident: Incident, actor: Actor, now: datetime) -> dict[str, Any]:
    waits = incident.state in UNDECIDED
    may = waits and access.can(actor, "acknowledge", incident)
    return {
        "having": _having(incident, now) if waits else None,
        "may_have": may,
        "assignees": list(_may_decide(incident)) if may else [],
        "snoozes": FOR,
        "notes": list(Note.objects.filter(incident=incident).order_by("-pk")[:NOTES]),
        "may_note": access.can(actor, "acknowledge", incident),
    }


def _having(incident: Incident, now: datetime) -> Having:
    row = Escalation.objects.filter(incident=incident).first()
    who = str(incident.acknowledged_by or ("a program" if incident.acknowledged_at else ""))
    held = row is not None and row.state == Escalation.State.HELD
    running = row is not None and row.state == Escalation.State.RUNNING
    return Having(
        who=who,
        until=row.due_at if row is not None and held else None,
        is_snoozed=incident.snoozed_until is not None,
        next=_next(incident, row, now) if row is not None and running else "",
        next_at=row.due_at if row is not None and running else None,
        is_spent=row is not None and row.state == Escalation.State.SPENT,
    )


def _next(incident: Incident, row: Escalation, now: datetime) -> str:
    if row.step >= len(row.steps):
        return ""
    asked = [(str(one["kind"]), int(one["id"])) for one in row.steps[row.step]["tell"]]
    ground = duty.read([incident.project_id], asked, now)
    channels = ground.channels[incident.project_id]
    known = words(ground.schedules.values(), ground.teams.values(), ground.people.values(), channels)
    whom = [known.get(pair, "every channel") for pair in asked]
    return " and ".join(dict.fromkeys(whom))


def _may_decide(incident: Incident) -> Any:
    """Whom it may be given to."""
    roles = [Role.RESPONDER, Role.OPERATOR, Role.ADMIN]
    mine = Q(memberships__project_id=incident.project_id, memberships__role__in=roles) | Q(is_superuser=True)
    return User.objects.filter(mine, is_active=True).order_by("name", "email").distinct()
