"""Escalation: an incident's pages go from step to step until somebody says "I have it".

    running ──acknowledged, snoozed──▶ held ──its time is over──▶ running, from the first step
       │ the last step of the last round                 (the incident is open again)
       ▼
     spent        and ended, from any of them, once the incident waits for nobody any more

The first step is told in the transaction that opens the incident. Later ones are rows whose `due_at` has
come; a round reads everything it needs at once, so that its queries do not grow with the timers. An
incident's row is locked before its escalation: acknowledging takes the same two in the same order.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterable, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django.db.models import F, Q

from agents import announce, rota
from agents.failpoint import failpoint
from agents.models import (
    Agent,
    Cause,
    Escalation,
    EscalationPolicy,
    Incident,
    IncidentState,
    Outbox,
    Whom,
)
from agents.queries import duty
from agents.queries.incidents import UNDECIDED
from agents.services import audit, outbox, own_ways

AT_ONCE = 500
EVERYONE = {"kind": str(Whom.EVERYONE), "id": 0}
PLAIN: list[dict[str, Any]] = [{"tell": [EVERYONE], "wait_s": 900}]
PLAIN_REPEATS, PLAIN_SEEN_FOR_S = 3, 1800
MAY_WAIT = (Cause.SILENCE, Cause.MISSED, Cause.BLOCKED)
MOVED = """
UPDATE agents_escalation e
SET state = n.state, step = n.step, round = n.round, told = n.told, due_at = n.due_at
FROM unnest(%s::bigint[], %s::text[], %s::int[], %s::int[], %s::int[], %s::timestamptz[])
     n(id, state, step, round, told, due_at)
WHERE e.id = n.id
"""
LIVE = (Escalation.State.RUNNING, Escalation.State.HELD)


def begin(incident: Incident, now: dt.datetime) -> int:
    """Copy the policy into the incident and tell its first step; how many messages that makes."""
    policy = _policy(incident.agent)
    row = Escalation(
        incident=incident,
        policy=policy.name if policy else "",
        steps=policy.steps if policy else PLAIN,
        repeats=policy.repeats if policy else PLAIN_REPEATS,
        seen_for_s=policy.seen_for_s if policy else PLAIN_SEEN_FOR_S,
        quiet=_quiet_hours(policy) if policy and incident.cause in MAY_WAIT else None,
        due_at=now,
    )
    row.due_at = _quiet_until(row, now) or now
    row.save(force_insert=True)
    return 0 if row.due_at > now else _fire([row], now)


def run_due(now: dt.datetime, *, at_once: int = AT_ONCE) -> int:
    """Move every timer that is due; how many moved."""
    moved = 0
    while True:
        found = _round(now, at_once)
        moved += found
        if found < at_once:
            return moved


def hold(incident: Incident, until: dt.datetime | None, now: dt.datetime) -> dt.datetime | None:
    """Somebody has it: nobody is told until then (None: for as long as the policy says)."""
    row = Escalation.objects.filter(incident=incident).first()
    if row is None:
        return None
    due = until or now + dt.timedelta(seconds=row.seen_for_s)
    Escalation.objects.filter(pk=row.pk).update(state=Escalation.State.HELD, due_at=due)
    return due


def restart(incident: Incident, now: dt.datetime) -> None:
    """Nobody has it any more: from the first step, at once."""
    rows = Escalation.objects.filter(incident=incident)
    rows.update(state=Escalation.State.RUNNING, step=0, round=0, due_at=now)


def wait_again(incident: Incident, now: dt.datetime) -> None:
    """What was decided did not hold. Whoever decided, or has it, knows; others are told if it waits on."""
    row = Escalation.objects.filter(incident=incident).exclude(state=Escalation.State.HELD).first()
    if row is None:
        return
    state, wait_s = Escalation.State.RUNNING, (row.steps or PLAIN)[0]["wait_s"]
    if incident.acknowledged_at is not None:
        state, wait_s = Escalation.State.HELD, row.seen_for_s
    due = now + dt.timedelta(seconds=wait_s)
    Escalation.objects.filter(pk=row.pk).update(state=state, step=0, round=0, due_at=due)


@transaction.atomic
def _round(now: dt.datetime, at_once: int) -> int:
    due = Incident.objects.filter(escalation__state__in=LIVE, escalation__due_at__lte=now)
    due = due.order_by("escalation__due_at").select_for_update(of=("self",), skip_locked=True)
    incidents = {one.pk: one for one in due.select_related("agent", "acknowledged_by")[:at_once]}
    rows = list(
        Escalation.objects.select_for_update()
        .filter(incident__in=incidents, state__in=LIVE, due_at__lte=now)
        .order_by("pk")
    )
    for row in rows:
        row.incident = incidents[row.incident_id]
        row.due_at = _quiet_until(row, now) or row.due_at
    over = [row for row in rows if row.incident.state not in UNDECIDED]
    Escalation.objects.filter(pk__in=[row.pk for row in over]).update(state=Escalation.State.ENDED)
    running = [row for row in rows if row.incident.state in UNDECIDED]
    held = [row for row in running if row.state == Escalation.State.HELD]
    _take_back(held)
    _moved([row for row in running if row.due_at > now])
    _fire([row for row in running if row.due_at <= now], now)
    if held:  # The log's lock comes last.
        audit.record_all([_expired(row.incident) for row in held], now)
    return len(rows)


def _take_back(held: Sequence[Escalation]) -> None:
    """The time of an acknowledgement, or of a snooze, is over: it is open, and begins anew."""
    ids = [row.incident_id for row in held]
    Incident.objects.filter(pk__in=ids, state=IncidentState.ACKNOWLEDGED).update(
        state=IncidentState.OPEN, acknowledged_at=None, acknowledged_by=None, snoozed_until=None
    )
    for row in held:
        row.state, row.step, row.round = Escalation.State.RUNNING, 0, 0


def _expired(incident: Incident) -> audit.Act:
    return audit.Act(
        incident.project_id,
        "sickbay",
        "snooze over" if incident.snoozed_until else "acknowledgement expired",
        f"incident {incident.pk}",
        saw={"version": incident.version, "had": str(incident.acknowledged_by or "")},
    )


def _fire(rows: Sequence[Escalation], now: dt.datetime) -> int:
    """Tell the step that each is at, and set its next timer."""
    if not rows:
        return 0
    told = [(row, *asked) for row in rows for asked in _asked(row)]
    projects = {row.incident.project_id for row in rows}
    ground = duty.read(projects, [(whom, id) for _, whom, id in told], now)
    _own_ways(ground, told, now)
    messages = [one for row in rows for one in _messages(row, ground, now)]
    made = Outbox.objects.bulk_create(messages, ignore_conflicts=True)
    failpoint("escalation:told")
    for row in rows:
        _advance(row, now)
    _moved(rows)
    failpoint("escalation:moved")
    for row in rows:
        announce.announce(f"incident-{row.incident_id}", row.incident.version)
    if made:
        transaction.on_commit(functools.partial(outbox.wake), robust=True)
    return len(made)


def _moved(rows: Sequence[Escalation]) -> None:
    """In one statement; Django's own takes a millisecond of CPU for each row."""
    if not rows:
        return
    columns = zip(
        *((row.pk, str(row.state), row.step, row.round, row.told, row.due_at) for row in rows), strict=True
    )
    with connection.cursor() as cursor:
        cursor.execute(MOVED, [list(column) for column in columns])


def _asked(row: Escalation) -> list[duty.Asked]:
    step = row.steps[min(row.step, len(row.steps) - 1)] if row.steps else PLAIN[0]
    return [(str(one["kind"]), int(one["id"])) for one in step["tell"]]


def _messages(row: Escalation, ground: duty.Ground, now: dt.datetime) -> Iterable[Outbox]:
    """One for each target of the step; two reasons for one target are one message."""
    about = Outbox.About.UNSEEN if row.told else Outbox.About.OPENED
    ways: dict[int, duty.Way] = {}
    for whom, id in _asked(row):
        for way in _ways(row.incident.project_id, whom, id, ground, now):
            ways.setdefault(way.target, way)
    for way in ways.values():
        yield Outbox(
            target_id=way.target,
            incident=row.incident,
            about=about,
            key=f"{row.incident_id}-step-{row.told}-{way.target}",
            due_at=now,
            created_at=now,
            why=way.why[:200],
            then=list(way.then),
        )


def _ways(project: int, whom: str, id: int, ground: duty.Ground, now: dt.datetime) -> list[duty.Way]:
    channels = [target.pk for target in ground.channels[project]]
    if whom == Whom.EVERYONE:
        return [duty.Way(pk, "") for pk in channels]
    if whom == Whom.CHANNEL:
        others = tuple(pk for pk in channels if pk != id)
        found = [duty.Way(id, "", others)] if id in channels else []
    else:
        found = [
            duty.Way(ways[0], why, (*ways[1:], *channels))
            for pk, why in duty.people_of(ground, project, whom, id, now)
            if (ways := ground.ways[project, pk])
        ]
    if found:
        return found
    gap = f"nobody is reached by {duty.named(ground, whom, id)}, so every channel is told"
    return [duty.Way(pk, gap) for pk in channels]


def _own_ways(ground: duty.Ground, told: Sequence[tuple[Escalation, str, int]], now: dt.datetime) -> None:
    """Who has no way of their own is reached by the address they sign in with."""
    pairs = [
        (row.incident.project_id, pk)
        for row, whom, id in told
        for pk, _ in duty.people_of(ground, row.incident.project_id, whom, id, now)
    ]
    lacking = duty.without_way(ground, pairs)
    if lacking:
        duty.read_ways(ground, own_ways.add(lacking, now))


def _advance(row: Escalation, now: dt.datetime) -> None:
    steps = row.steps or PLAIN
    row.due_at = now + dt.timedelta(seconds=steps[min(row.step, len(steps) - 1)]["wait_s"])
    row.told, row.step = row.told + 1, row.step + 1
    if row.step < len(steps):
        return
    row.step, row.round = 0, row.round + 1
    if row.round > row.repeats:
        row.state = Escalation.State.SPENT


def _policy(agent: Agent) -> EscalationPolicy | None:
    """The agent's own, or else the project's."""
    mine = Q(pk=agent.escalation_id) | Q(is_default=True)
    found = EscalationPolicy.objects.filter(mine, project_id=agent.project_id)
    return found.order_by(F("is_default").asc()).first()


def _quiet_hours(policy: EscalationPolicy) -> dict[str, str] | None:
    """As an escalation keeps them."""
    if policy.quiet_from is None or policy.quiet_until is None:
        return None
    since, until = policy.quiet_from.isoformat(), policy.quiet_until.isoformat()
    return {"zone": policy.quiet_zone, "from": since, "until": until}


def _quiet_until(row: Escalation, now: dt.datetime) -> dt.datetime | None:
    """The end of the quiet hours that hold this moment; nothing that is paused has any."""
    if row.quiet is None:
        return None
    since, until = (dt.time.fromisoformat(row.quiet[name]) for name in ("from", "until"))
    return rota.quiet_until(ZoneInfo(row.quiet["zone"]), since, until, now)
