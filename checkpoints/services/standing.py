"""Standings as rows: on arrival, by time, by a later failure, by a human's word. The rules are standing.py's.

Every move is a conditional update: what a human has judged, nothing else moves again. `Agent.last_good` is
the newest good checkpoint of the agent, kept in the transaction that changes it.
"""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Literal

from django.db import connection, transaction

from agents import announce
from agents.access import Actor
from agents.models import Agent, Cause, Decision, Incident, Kind
from agents.queries.incidents import UNDECIDED
from agents.services import audit, entries, incidents
from agents.services.rows import Statement, several
from agents.services.snapshots import text
from checkpoints import queries, standing
from checkpoints.models import Checkpoint, ProvenBy, Standing
from checkpoints.services import clearing

AT_ONCE = 500
DAMAGE = queries.DAMAGE
MENDED = "was damaged, and is whole again"
LOOK_BACK = dt.timedelta(days=30)
# The first failure after each, and the actions that went well before it, ten at most.
SOAKING = """
SELECT c.id, c.at, f.at, (
    SELECT count(*) FROM (
        SELECT 1 FROM agents_entry e
        WHERE e.agent_id = c.agent_id AND e.instance_id = c.instance_id AND e.kind = 'action'
          AND e.outcome IN ('ok', 'already') AND e.at > c.at AND e.at < coalesce(f.at, 'infinity') LIMIT 10
    ) successes)
FROM checkpoints_checkpoint c
LEFT JOIN LATERAL (
    SELECT e.at FROM agents_entry e
    WHERE e.agent_id = c.agent_id AND (e.instance_id = c.instance_id OR e.instance_id IS NULL)
      AND e.kind = 'failure' AND e.kind <> 'action' AND e.at > c.at ORDER BY e.at LIMIT 1
) f ON true
WHERE c.soaks AND c.at <= %s ORDER BY c.at LIMIT %s
"""
NEWER_GOOD = """
UPDATE agents_agent SET last_good = %(id)s WHERE id = %(agent)s AND NOT EXISTS (
    SELECT 1 FROM checkpoints_checkpoint k WHERE k.id = agents_agent.last_good AND k.at > %(at)s)
"""
NEWEST_GOOD = """
UPDATE agents_agent a SET last_good = g.id
FROM (SELECT (SELECT id FROM checkpoints_checkpoint WHERE agent_id = %(agent)s AND standing = 'good'
              ORDER BY at DESC, id DESC LIMIT 1) AS id) g
WHERE a.id = %(agent)s AND a.last_good IS DISTINCT FROM g.id
"""


@dataclass(frozen=True)
class Judged:
    name: Literal["judged", "already", "damaged"]
    checkpoint: Checkpoint


def on_arrival(
    found: Checkpoint, parent: Checkpoint | None, *, is_first: bool, resumed: bool = False
) -> None:
    """Fills in how the new row stands; `resumed` is the agent's word, and counts when somebody did."""
    resumed = resumed and parent is not None and _was_resumed(found, parent)
    facts = standing.Facts(
        found.failing, found.passes, found.fails, found.unknowns, found.checks, resumed, bool(found.moving)
    )
    before = standing.Before(parent.standing, parent.tainted, parent.proven) if parent else None
    ruling = standing.on_arrival(facts, before, is_first=is_first)
    found.standing, found.proven_by, found.reason = ruling.standing, ruling.proven_by, ruling.reason
    found.tainted, found.proven, found.soaks = ruling.tainted, ruling.proven, ruling.soaks


def _was_resumed(found: Checkpoint, parent: Checkpoint) -> bool:
    decided = Decision.objects.filter(pause__instance_id=found.instance_id, verb__in=("resume", "start"))
    return decided.filter(at__gt=parent.at).exists()


def now_good(found: Checkpoint) -> None:
    """The agent's last good one, unless a newer one is."""
    several(calling_good(found))


def calling_good(found: Checkpoint) -> Statement:
    return NEWER_GOOD, {"id": found.pk, "at": found.at, "agent": found.agent_id}


def find_last_good(agent_id: int) -> None:
    """The newest good one there is now."""
    with connection.cursor() as cursor:
        cursor.execute(NEWEST_GOOD, {"agent": agent_id})


def settle(now: dt.datetime) -> int:
    """What time has decided: soaked ones are good, those from the first failure of an incident on suspect."""
    return _soak(now) + _suspect(now)


def _soak(now: dt.datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(SOAKING, [now - standing.SOAK_TIME, AT_ONCE])
        found = cursor.fetchall()
    moved = 0
    for id, at, failed_at, successes in found:
        ruling = standing.soaked(at, failed_at, successes, now)
        if ruling != "wait":
            moved += _soaked(id, is_good=ruling == "good", now=now)
    return moved


@transaction.atomic
def _soaked(id: uuid.UUID, *, is_good: bool, now: dt.datetime) -> int:
    soaking = Checkpoint.objects.filter(pk=id, soaks=True, standing=Standing.UNPROVEN)
    if not is_good:
        return 0 * soaking.update(soaks=False)
    if not soaking.update(soaks=False, standing=Standing.GOOD, proven_by=ProvenBy.SOAK):
        return 0
    found = queries.rows().get(pk=id)
    now_good(found)
    _changed(found)
    return 1


def _suspect(now: dt.datetime) -> int:
    """Checkpoints between the first failure of an open incident and its opening."""
    opened = Incident.objects.filter(state__in=UNDECIDED, cause=Cause.BUDGET, opened_at__gt=now - LOOK_BACK)
    moved = 0
    for incident in opened.select_related("agent"):
        for agent_id in {incident.agent_id, *incident.instances.values_list("agent_id", flat=True)}:
            since = queries.first_failure_at(incident, agent_id)
            moved += suspect_between(agent_id, since, incident.opened_at, now=now)
    return moved


@transaction.atomic
def suspect_between(agent_id: int, since: dt.datetime, until: dt.datetime, *, now: dt.datetime) -> int:
    """Taken while failures were counting, though nobody knew; what a human judged stays."""
    rows = Checkpoint.objects.filter(agent_id=agent_id, at__gte=since, at__lte=until, judged_by="")
    moved = rows.filter(standing__in=queries.USABLE).update(
        standing=Standing.SUSPECT, proven_by="", soaks=False, reason="taken after the first failure"
    )
    if moved:
        find_last_good(agent_id)
        announce.changed_agent(agent_id, Agent.objects.values_list("project_id", flat=True).get(pk=agent_id))
    return moved


def doubt(found: Checkpoint, reason: str) -> bool:
    """Suspect, because of a check that is enforced; what a human judged stays."""
    rows = Checkpoint.objects.filter(pk=found.pk, judged_by="", standing__in=queries.USABLE)
    if not rows.update(standing=Standing.SUSPECT, proven_by="", soaks=False, tainted=True, reason=reason):
        return False
    find_last_good(found.agent_id)
    announce.changed_agent(found.agent_id, found.project_id)
    return True


@transaction.atomic
def condemn(*, ids: list[uuid.UUID], agent_id: int, by: str, reason: str, now: dt.datetime) -> int:
    """Bad, because of a rollback, of damage, or of a report. In the caller's words."""
    rows = Checkpoint.objects.filter(agent_id=agent_id, pk__in=ids).exclude(standing=Standing.BAD)
    moved = rows.update(
        standing=Standing.BAD, proven_by="", soaks=False, judged_by=text(by, 200), reason=text(reason, 500)
    )
    if moved:
        find_last_good(agent_id)
        announce.changed_agent(agent_id, Agent.objects.values_list("project_id", flat=True).get(pk=agent_id))
    return moved


def mend(*, ids: list[uuid.UUID], agent_id: int) -> int:
    """Damage called them bad, and they are whole again: what they were before that is not known any more."""
    rows = Checkpoint.objects.filter(agent_id=agent_id, pk__in=ids, judged_by=DAMAGE)
    moved = rows.update(standing=Standing.UNPROVEN, tainted=True, judged_by="", reason=MENDED)
    if moved:
        announce.changed_agent(agent_id, Agent.objects.values_list("project_id", flat=True).get(pk=agent_id))
    return moved


@transaction.atomic
def judge(*, actor: Actor, checkpoint: Checkpoint, verdict: str, reason: str, now: dt.datetime) -> Judged:
    """A human's word, with a reason. What is damaged cannot be called good."""
    rows = Checkpoint.objects.filter(pk=checkpoint.pk)
    if verdict == Standing.GOOD:
        rows = rows.exclude(judged_by=DAMAGE)
    proven_by = ProvenBy.HUMAN if verdict == Standing.GOOD else ""
    moved = rows.exclude(standing=verdict, judged_by=actor.name, reason=reason).update(
        standing=verdict, proven_by=proven_by, soaks=False, tainted=verdict != Standing.GOOD,
        judged_by=text(actor.name, 200), reason=text(reason, 500),
    )  # fmt: skip
    found = queries.rows().get(pk=checkpoint.pk)
    if not moved:
        return Judged("damaged" if found.judged_by == DAMAGE else "already", found)
    if verdict == Standing.GOOD:
        clearing.clear_below(found)
    find_last_good(found.agent_id)
    _write(found, now)
    _changed(found)
    audit.record(
        project_id=found.project_id,
        actor=actor.name,
        verb="judge checkpoint",
        object=f"checkpoint {found.pk}",
        reason=reason,
        saw={"standing": checkpoint.standing, "judged": verdict},
        now=now,
    )
    return Judged("judged", found)


def _changed(found: Checkpoint) -> None:
    """Whoever decides is shown how it stands now."""
    for pk in incidents.concerning(found.instance).order_by("pk").values_list("pk", flat=True):
        incidents.bump(pk)
    announce.changed_agent(found.agent_id, found.project_id)


def _write(found: Checkpoint, now: dt.datetime) -> None:
    named = found.label or f"of {found.at:%H:%M:%S}"
    entries.write(
        project_id=found.project_id,
        agent_id=found.agent_id,
        instance_id=found.instance_id,
        at=now,
        kind=Kind.VERDICT,
        name="judged",
        outcome=found.standing,
        title=f"Checkpoint {named} was called {found.standing}: {found.reason}",
        ref=str(found.pk),
        body={"checkpoint": found.pk, "by": found.judged_by, "reason": found.reason},
        now=now,
    )
