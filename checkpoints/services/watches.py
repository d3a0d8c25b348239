"""Checks that are watched from now on.

    a checkpoint is taken ─▶ a row for each watch of its agent, in the same transaction
    an alarm clock rings  ─▶ each row is judged in the order of time, in a transaction of its own, and goes
    it begins to fail     ─▶ a signal with the checkpoint; where it is enforced, a failure that counts as well

Only the change counts: what fails already when the watch begins, and goes on failing, is shown, not told of.
An instance is judged by its own checkpoints, and never by one older than the last that was. What is
told stands beside its checkpoint in the timeline, or an hour ago when nobody looked for longer. Whoever
has the list open hears of every new verdict, also of the first, and of one that cannot be given.
"""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from agents import announce
from agents.access import Actor
from agents.models import Agent, Instance, Kind
from agents.services import accounts, audit, entries, incidents, rows
from agents.services.snapshots import text
from checkpoints import checks, judging, queries
from checkpoints.checks import Check
from checkpoints.models import Checkpoint, Unjudged, Watch, Watched
from checkpoints.services import standing
from sickbay import budget

MOST = 20
AT_ONCE = 200
MOMENT, HOUR = dt.timedelta(microseconds=1), dt.timedelta(hours=1)
QUEUE = """
INSERT INTO checkpoints_unjudged (watch_id, checkpoint, at)
SELECT id, %s, %s FROM checkpoints_watch WHERE agent_id = %s AND is_on
"""


class Refused(Exception):
    """It is not kept; why."""


def check_of(watch: Watch) -> Check:
    return Check(watch.path, watch.op, watch.value, watch.where)


def queueing(found: Checkpoint) -> rows.Statement:
    """To be judged by whoever looks; for the transaction that takes it."""
    return QUEUE, [found.pk, found.at, found.agent_id]


@transaction.atomic
def keep(*, actor: Actor, agent: Agent, check: Check, policy: str, now: dt.datetime) -> Watch:
    """Watch this from now on; the same again changes nothing. How it stands now is looked at, not told."""
    if why := checks.wrong_with(check):
        raise Refused(why)
    Agent.objects.select_for_update(no_key=True).get(pk=agent.pk)
    said = {"where": check.where, "path": check.path, "op": check.op, "value": check.value}
    known = Watch.objects.filter(agent=agent, **said).first()
    if known is not None:
        return known
    if Watch.objects.filter(agent=agent).count() >= MOST:
        raise Refused(f"An agent has at most {MOST} watches: remove one.")
    watch = Watch.objects.create(agent=agent, policy=policy, by=text(actor.name, 200), at=now, **said)
    for instance in Instance.objects.filter(agent=agent):
        newest = queries.newest(agent.pk, instance.pk)
        if newest is not None:
            _seen(watch, newest, _passes(watch, newest))
    _told(actor, watch, "watch", now)
    return watch


@transaction.atomic
def turn(*, actor: Actor, watch: Watch, on: bool, now: dt.datetime) -> bool:
    """On or off; whether this changed it."""
    if not Watch.objects.filter(pk=watch.pk, is_on=not on).update(is_on=on):
        return False
    if not on:
        Unjudged.objects.filter(watch=watch).delete()
    _told(actor, watch, "turn watch on" if on else "turn watch off", now)
    return True


@transaction.atomic
def set_policy(*, actor: Actor, watch: Watch, policy: str, now: dt.datetime) -> bool:
    if not Watch.objects.filter(pk=watch.pk).exclude(policy=policy).update(policy=policy):
        return False
    _told(actor, watch, f"{policy} watch", now)
    return True


@transaction.atomic
def remove(*, actor: Actor, watch: Watch, now: dt.datetime) -> None:
    _told(actor, watch, "remove watch", now)
    Watch.objects.filter(pk=watch.pk).delete()


def look(now: dt.datetime) -> int:
    """Judge what waits; how many were."""
    waiting = Unjudged.objects.order_by("at", "pk").values_list("pk", "watch_id")
    return sum(_judge(pk, watch_id, now) for pk, watch_id in list(waiting[:AT_ONCE]))


@transaction.atomic
def _judge(pk: int, watch_id: int, now: dt.datetime) -> int:
    """Two alarm clocks judge one watch one after the other, in the same order; the count says who was first.

    The watch is locked without its key, since whoever takes a checkpoint holds its instance and refers to it.
    """
    watch = Watch.objects.select_for_update(no_key=True, of=("self",)).select_related("agent")
    found = watch.filter(pk=watch_id).first()
    row = Unjudged.objects.filter(pk=pk).first()
    if found is None or row is None or not Unjudged.objects.filter(pk=pk).delete()[0]:
        return 0
    checkpoint = queries.of_agent(found.agent_id, row.checkpoint)
    before = None
    if checkpoint is not None:
        before = Watched.objects.filter(watch=found, instance_id=checkpoint.instance_id).first()
    if checkpoint is None or not found.is_on or (before is not None and before.at >= checkpoint.at):
        return 0
    passes = _passes(found, checkpoint)
    moved = _seen(found, checkpoint, passes)
    if passes is False and found.policy == Watch.Policy.ENFORCE:
        standing.doubt(checkpoint, f"{check_of(found).words}: it is not so"[:500])
    if passes is False and (before is None or before.passes is not False):
        _fails(found, checkpoint, now)
    elif passes and before is not None and before.passes is False:
        _signal(found, checkpoint, "passes", "passes again", now)
    if moved:
        announce.changed_agent(found.agent_id, found.agent.project_id)
    return 1


def _passes(watch: Watch, checkpoint: Checkpoint) -> bool | None:
    try:
        return judging.passes(check_of(watch), checkpoint)
    except judging.Unjudged:
        return None


def _seen(watch: Watch, checkpoint: Checkpoint, passes: bool | None) -> bool:
    """The instance's row; `since` moves only with the verdict. Whether it moved."""
    values = {"passes": passes, "checkpoint": checkpoint.pk, "at": checkpoint.at}
    mine = Watched.objects.filter(watch=watch, instance_id=checkpoint.instance_id)
    if mine.filter(passes=passes).update(**values):
        return False
    if not mine.update(**values, since=checkpoint.at):
        Watched.objects.create(watch=watch, instance_id=checkpoint.instance_id, since=checkpoint.at, **values)
    return True


def _fails(watch: Watch, checkpoint: Checkpoint, now: dt.datetime) -> None:
    _signal(watch, checkpoint, "fails", "began to fail", now)
    if watch.policy != Watch.Policy.ENFORCE:
        return
    instance = (
        Instance.objects.select_for_update(of=("self",))
        .select_related("agent")
        .get(pk=checkpoint.instance_id)
    )
    id = f"watch-{watch.pk}-{checkpoint.pk.hex}"[:60]
    if accounts.add(instance, budget.Failure(id, "watch", now.timestamp()), now):
        _write(watch, checkpoint, Kind.FAILURE, "verification", f"{check_of(watch).words}: it is not so", now)
        incidents.failure_counted(watch.agent_id, now)


def _signal(watch: Watch, checkpoint: Checkpoint, outcome: str, said: str, now: dt.datetime) -> None:
    named = f" “{checkpoint.label}”" if checkpoint.label else f" of {checkpoint.at:%H:%M:%S}"
    title = f"{check_of(watch).words}: {said} with checkpoint{named}"
    _write(watch, checkpoint, Kind.SIGNAL, outcome, title, now)


def _write(
    watch: Watch, checkpoint: Checkpoint, kind: str, outcome: str, title: str, now: dt.datetime
) -> None:
    entries.write(
        project_id=watch.agent.project_id,
        agent_id=watch.agent_id,
        instance_id=checkpoint.instance_id,
        at=max(checkpoint.at + MOMENT, now - HOUR),
        kind=kind,
        name="watch",
        outcome=outcome,
        title=title,
        ref=str(checkpoint.pk),
        body={"watch": watch.pk, "checkpoint": checkpoint.pk, "check": check_of(watch).words},
        now=now,
    )


def _told(actor: Actor, watch: Watch, verb: str, now: dt.datetime) -> None:
    announce.changed_agent(watch.agent_id, watch.agent.project_id)
    audit.record(
        project_id=watch.agent.project_id,
        actor=actor.name,
        verb=verb,
        object=f"agent {watch.agent.name}",
        reason="",
        saw={"check": check_of(watch).words, "policy": watch.policy},
        now=now,
    )
