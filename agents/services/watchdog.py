"""What nobody reports: silence, vanished runs, missed starts, decisions not taken up, unknown effects.

Every five seconds a beat calls `look`. It reads what is overdue and moves each thing by a conditional update
in a transaction of its own, so that two beats, or one that was down for an hour, notice it once. Silence is
judged only while we could have heard: each server process keeps a `Presence` row alive, and the agents of a
process that died, or that stood still itself, get two minutes to come back.

    live ──60 s──▶ silent (a failure, an incident) ──10 min──▶ vanished: the process counts as gone
      ▲──────────── heard again: the incident closes by itself ◀──┘
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import F, Q

from agents import announce
from agents.models import Agent, Cause, Heartbeat, Incident, Instance, Kind, Presence, Run, RunState, Status
from agents.queries.incidents import UNDECIDED
from agents.services import accounts, entries, incidents, overdue, pauses, unknown_effects
from sickbay import budget

SILENT_AFTER = dt.timedelta(seconds=60)
GONE_AFTER = dt.timedelta(minutes=10)
COMING_BACK = dt.timedelta(seconds=120)
FORGOTTEN_AFTER = dt.timedelta(days=1)
STANDSTILL = dt.timedelta(seconds=10)
THIRD_WITHIN = dt.timedelta(minutes=10)
HELD = (Status.PAUSED, Status.PAUSING, Status.STOPPED)
BEAT = """
UPDATE agents_heartbeat SET last_seen = %s, via = %s WHERE instance_id = ANY(%s) AND last_seen <= %s
"""
PRESENT = """
INSERT INTO agents_presence (id, since, seen_at) VALUES (%s, %s, %s)
ON CONFLICT (id) DO UPDATE SET seen_at = EXCLUDED.seen_at, since = CASE
    WHEN EXCLUDED.seen_at - agents_presence.seen_at > %s * interval '1 second' THEN EXCLUDED.since
    ELSE agents_presence.since END
"""


@dataclass(frozen=True)
class Looked:
    """How many of each were noticed now."""

    silent: int = 0
    vanished: int = 0
    heard: int = 0
    missed: int = 0
    blocked: int = 0
    not_taken_up: int = 0
    asked_about: int = 0


@dataclass(frozen=True)
class Hearing:
    """Since when each server process, dead or alive, could not be the reason for a silence."""

    alive: dict[uuid.UUID, dt.datetime]
    died: dict[uuid.UUID, dt.datetime]

    def could_hear_since(self, via: uuid.UUID | None) -> dt.datetime | None:
        """None: nobody listens now."""
        if via is None or via in self.alive:
            return self.alive.get(via, dt.datetime.min.replace(tzinfo=dt.UTC)) if via else _always()
        if not self.alive:
            return None
        first = min(self.alive.values())
        return max(first, self.died.get(via, first))


def seen(instance_ids: Iterable[int], now: dt.datetime, process: uuid.UUID | None = None) -> None:
    """A server process heard these instances, maybe none; called once a second, two statements in all."""
    with connection.cursor() as cursor:
        if process is not None:
            cursor.execute(PRESENT, [process, now, now, STANDSTILL.total_seconds()])
        ids = sorted(set(instance_ids))
        if ids:
            cursor.execute(BEAT, [now, process, ids, now])


def look(now: dt.datetime) -> Looked:
    """Notice everything that is overdue, each once."""
    heard = sum(_heard_again(pk, now) for pk in _back())
    silent = sum(_fell_silent(pk, now) for pk in _overdue(now))
    vanished = sum(_gone(pk, now) for pk in _long_silent(now)) + _superseded(now)
    incidents.close_applied(now)
    close_silences(now)
    Presence.objects.filter(seen_at__lt=now - FORGOTTEN_AFTER).delete()
    missed, blocked, late = overdue.missed(now), overdue.blocked(now), overdue.not_taken_up(now)
    asked = unknown_effects.look(now)
    return Looked(silent, vanished, heard, missed, blocked, late, asked)


def vanish(run: Run, instance: Instance, *, in_flight: str, countable: bool, now: dt.datetime) -> bool:
    """A run ended without a word; once. A crash failure if an action was in flight, or the third lately."""
    running = Run.objects.filter(pk=run.pk, state=RunState.RUNNING)
    ended = instance.gone_since or now
    if not running.update(state=RunState.VANISHED, ended_at=ended):
        return False
    lately = Run.objects.filter(instance=instance, state=RunState.VANISHED, ended_at__gt=ended - THIRD_WITHIN)
    counted = countable and (bool(in_flight) or lately.count() >= 3)
    doing = f" while it was doing {in_flight}" if in_flight else ""
    _entry(instance, Kind.RUN, "vanished", "vanished", f"the process vanished{doing}", run.pk.hex, now)
    crash = budget.Failure(f"crash-{run.pk.hex}", in_flight or "run", now.timestamp())
    if counted and accounts.add(instance, crash, now):
        title = f"the process died{doing}"
        _entry(instance, Kind.FAILURE, in_flight or "run", "crash", title, crash.id, now)
        incidents.failure_counted(instance.agent_id, now)
    return True


def close_silences(now: dt.datetime) -> int:
    """Incidents about silence whose instances were all heard again."""
    quiet = Heartbeat.objects.filter(last_seen__lte=F("instance__incidents__opened_at"))
    waiting = Incident.objects.filter(cause=Cause.SILENCE, state__in=UNDECIDED)
    closed = 0
    for incident in waiting.select_related("agent"):
        if incident.instances.exists() and not quiet.filter(instance__incidents=incident).exists():
            sentence = f"{incident.agent.name} was heard again; the incident closed by itself"
            with transaction.atomic():
                closed += incidents.close_by_itself(incident, sentence, now)
    return closed


def _always() -> dt.datetime:
    return dt.datetime.min.replace(tzinfo=dt.UTC)


def _hearing(now: dt.datetime) -> Hearing:
    rows = list(Presence.objects.all())
    alive = {row.id: row.since for row in rows if now - row.seen_at <= STANDSTILL}
    return Hearing(alive, {row.id: row.seen_at for row in rows if row.id not in alive})


def _overdue(now: dt.datetime) -> list[int]:
    """Living instances that should have been heard, while somebody listened."""
    late = Instance.objects.filter(
        live=True, beats=True, gone_since=None, heartbeat__last_seen__lt=now - SILENT_AFTER
    ).order_by("pk")
    found = list(late.values_list("pk", "heartbeat__last_seen", "heartbeat__via"))
    hearing = _hearing(now) if found else Hearing({}, {})
    return [pk for pk, last_seen, via in found if _counts(hearing.could_hear_since(via), last_seen, now)]


def _counts(heard_since: dt.datetime | None, last_seen: dt.datetime, now: dt.datetime) -> bool:
    if heard_since is None:
        return False
    return last_seen > heard_since or now - heard_since >= COMING_BACK


@transaction.atomic
def _fell_silent(pk: int, now: dt.datetime) -> bool:
    """Silent is a failure and an incident; where a pause holds it, only its process is known to be gone."""
    instance = _locked(pk)
    last_seen = Heartbeat.objects.values_list("last_seen", flat=True).get(instance_id=pk)
    overdue = Instance.objects.filter(pk=pk, live=True, gone_since=None)
    if last_seen >= now - SILENT_AFTER or not overdue.update(gone_since=last_seen):
        return False
    instance.gone_since = last_seen
    if instance.status not in HELD:
        _count_silence(instance, last_seen, now)
    announce.changed_agent(instance.agent_id, instance.agent.project_id)
    return True


def _count_silence(instance: Instance, last_seen: dt.datetime, now: dt.datetime) -> None:
    pauses.show(instance, Status.SILENT, now)
    pauses.refresh_agent(instance.agent_id, now)
    run = _newest_run(instance)
    id = f"silence-{run.pk.hex if run else instance.pk}-{int(last_seen.timestamp())}"
    accounts.add(instance, budget.Failure(id, "silence", now.timestamp()), now)
    title = f"not heard from since {last_seen:%H:%M:%S} UTC"
    _entry(instance, Kind.FAILURE, "silence", "silence", title, id, now)
    incidents.open_or_join(
        agent=instance.agent,
        instances=[instance],
        cause=Cause.SILENCE,
        title=f"{instance.agent.name} is {title}",
        failure=id,
        now=now,
    )


def _long_silent(now: dt.datetime) -> list[int]:
    gone = Instance.objects.filter(live=True, gone_since__lt=now - GONE_AFTER)
    return list(gone.order_by("pk").values_list("pk", flat=True))


@transaction.atomic
def _gone(pk: int, now: dt.datetime) -> bool:
    instance = _locked(pk)
    if not Instance.objects.filter(pk=pk, live=True, gone_since__lt=now - GONE_AFTER).update(live=False):
        return False
    instance.live = False
    run = _newest_run(instance)
    vanished = run is not None and vanish(run, instance, in_flight=instance.doing, countable=True, now=now)
    announce.changed_agent(instance.agent_id, instance.agent.project_id)
    return vanished


def _superseded(now: dt.datetime) -> int:
    """Runs whose instance has long had a newer one, and which never said how they ended: shown, not counted.

    Whether an action was in flight only the agent's own machine knows, and it says so itself.
    """
    newer = Q(epoch=None) | Q(epoch__lt=F("instance__epoch"))
    left = Run.objects.filter(newer, state=RunState.RUNNING, instance__live=True, instance__epoch__gt=0)
    newest = Run.objects.filter(started_at__lt=now - GONE_AFTER, epoch=F("instance__epoch"))
    count = 0
    for run in left.filter(instance__in=newest.values("instance")).select_related("instance__agent")[:100]:
        with transaction.atomic():
            count += vanish(run, _locked(run.instance_id), in_flight="", countable=False, now=now)
    return count


def _back() -> list[int]:
    """Instances that were taken for gone and were heard after it; a run that ended by its own word is not."""
    heard = Instance.objects.filter(gone_since__isnull=False, heartbeat__last_seen__gt=F("gone_since"))
    taken_for_dead = Q(
        live=False,
        runs__state=RunState.VANISHED,
        runs__epoch=F("epoch"),
        reported__in=[status for status in Status if status not in pauses.STILL],
    )
    found = heard.filter(Q(live=True) | taken_for_dead).order_by("pk").values_list("pk", flat=True)
    return list(dict.fromkeys(found))


@transaction.atomic
def _heard_again(pk: int, now: dt.datetime) -> bool:
    instance = _locked(pk)
    rows = Instance.objects.filter(pk=pk, gone_since=instance.gone_since, gone_since__isnull=False)
    if not rows.update(gone_since=None, live=True):
        return False
    Run.objects.filter(instance=instance, epoch=instance.epoch, state=RunState.VANISHED).update(
        state=RunState.RUNNING, ended_at=None
    )
    if instance.status == Status.SILENT:
        pauses.show(instance, instance.reported, now)
        pauses.refresh_agent(instance.agent_id, now)
    announce.changed_agent(instance.agent_id, instance.agent.project_id)
    return True


def _locked(pk: int) -> Instance:
    return Instance.objects.select_for_update(of=("self",)).select_related("agent").get(pk=pk)


def _newest_run(instance: Instance) -> Run | None:
    return Run.objects.filter(instance=instance, epoch=instance.epoch).order_by("-started_at").first()


def _entry(
    instance: Instance, kind: str, name: str, outcome: str, title: str, ref: str, now: dt.datetime
) -> None:
    agent: Agent = instance.agent
    entries.write(
        project_id=agent.project_id,
        agent_id=agent.pk,
        instance_id=instance.pk,
        at=now,
        kind=kind,
        name=name,
        outcome=outcome,
        title=title,
        ref=ref,
        body={"counted": kind == Kind.FAILURE},
        now=now,
    )
