"""What a rollback to a checkpoint loses, what it cannot undo, and what the human is told before the click."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass

from django.db.models import OuterRef, Q, QuerySet, Subquery

from agents.models import Agent, Effect, Entry, Incident, Instance, Kind
from checkpoints import queries
from checkpoints.models import Checkpoint, HandEdits, Rollback, Standing

MOST_COUNTED = 10_000
MOST_LISTED = 200
DAMAGE = "verify"
SLACK = dt.timedelta(seconds=2)
NAMES = {"code": "code version", "sdk": "SDK", "model": "model", "tools": "set of tools"}


@dataclass(frozen=True, slots=True)
class Changed:
    """Something that the state depends on, as it was then and as it is now."""

    what: str
    then: str
    now: str

    @property
    def sentence(self) -> str:
        if self.what == "tools":
            return "It was made with another set of tools."
        return (
            f"It was made under {NAMES[self.what]} {self.then or '(none)'}; now it is {self.now or '(none)'}."
        )


@dataclass(frozen=True, slots=True)
class Blast:
    """`entries` and `actions` stop counting at MOST_COUNTED; `effects` is the worklist, oldest first."""

    checkpoint: Checkpoint
    newest: Checkpoint | None
    lost: list[Checkpoint]
    entries: int
    actions: int
    effects: list[Effect]
    effects_in_all: int
    changed: list[Changed]
    edits: HandEdits | None
    is_damaged: bool
    needs_even_bad: bool
    is_undo: bool
    is_shared: bool

    @property
    def remarks(self) -> list[str]:
        """What is said before it is done; none of it stands in the way."""
        said = [change.sentence for change in self.changed]
        if self.checkpoint.standing == Standing.SUSPECT:
            said.append(f"It is suspect: {self.checkpoint.reason or 'failures were counting'}.")
        if self.is_shared:
            said.append("Its workspace is shared, so its files stay as they are.")
        if self.effects_in_all:
            stay = (
                "1 effect since then stays as it is"
                if self.effects_in_all == 1
                else (f"{self.effects_in_all} effects since then stay as they are")
            )
            said.append(f"{stay} in the outside world.")
        if self.edits is not None and self.edits.paths:
            count = len(self.edits.paths) + self.edits.more
            said.append(f"{count} hand edit{' is' if count == 1 else 's are'} kept aside.")
        return said


def of(checkpoint: Checkpoint) -> Blast:
    """What going back to it means now, for its instance."""
    since, instance_id = checkpoint.at, checkpoint.instance_id
    later = queries.rows().filter(instance_id=instance_id, at__gt=since).order_by("-at", "-id")
    entries = Entry.objects.filter(agent_id=checkpoint.agent_id, instance_id=instance_id, at__gt=since)
    effects = effects_of([instance_id], since, None)
    is_undo, newest = queries.undoes(checkpoint), queries.newest(checkpoint.agent_id, instance_id)
    return Blast(
        checkpoint=checkpoint,
        newest=newest,
        lost=list(later[:MOST_LISTED]),
        entries=entries[:MOST_COUNTED].count(),
        actions=entries.filter(kind=Kind.ACTION)[:MOST_COUNTED].count(),
        effects=list(effects[:MOST_LISTED]),
        effects_in_all=effects.count(),
        changed=changed(checkpoint, newest),
        edits=edits_since(newest, instance_id),
        is_damaged=checkpoint.judged_by == DAMAGE,
        needs_even_bad=checkpoint.standing == Standing.BAD and not is_undo,
        is_undo=is_undo,
        is_shared=checkpoint.agent.shared_workspace,
    )


def edits_since(newest: Checkpoint | None, instance_id: int) -> HandEdits | None:
    """What was changed by hand after the newest checkpoint; what came before it is part of it."""
    found = HandEdits.objects.filter(pk=instance_id)
    return (found.filter(at__gte=newest.at) if newest is not None else found).first()


def changed(checkpoint: Checkpoint, newest: Checkpoint | None) -> list[Changed]:
    """What the state depended on then, and depends on otherwise now."""
    if newest is None or newest.dependencies_id == checkpoint.dependencies_id:
        return []
    then, now = checkpoint.dependencies, newest.dependencies
    pairs = [Changed(what, getattr(then, what), getattr(now, what)) for what in NAMES]
    return [pair for pair in pairs if pair.then != pair.now]


def effects_of(instance_ids: list[int], since: dt.datetime, until: dt.datetime | None) -> QuerySet[Effect]:
    """What these instances did to the outside world, oldest first."""
    found = Effect.objects.filter(instance_id__in=instance_ids, begun_at__gt=since)
    if until is not None:
        found = found.filter(begun_at__lte=until)
    return found.select_related("instance__agent", "command").order_by("begun_at", "pk")


def effects_of_rollback(rollback: Rollback) -> QuerySet[Effect]:
    """The effects between the checkpoint and the rollback."""
    at = Checkpoint.objects.filter(pk=rollback.checkpoint).values_list("at", flat=True).first()
    if at is None:
        return Effect.objects.none()
    return effects_of([rollback.instance_id], at, rollback.began_at or rollback.ended_at)


def worklist_of_rollback(rollback: Rollback) -> list[Effect]:
    return list(effects_of_rollback(rollback)[:MOST_LISTED])


def effects_of_incident(incident: Incident) -> QuerySet[Effect]:
    """The effects of its agents since the last known good one of each.

    Where there is none: since the first failure, with whatever ended in it. Questions do not grow with the
    number of agents.
    """
    first = queries.first_failure_at(incident, incident.agent_id)
    good = Checkpoint.objects.filter(agent_id=OuterRef("pk"), standing=Standing.GOOD, at__lt=first)
    concerned = Instance.objects.filter(incidents=incident).values("agent_id")
    agents = Agent.objects.filter(Q(pk=incident.agent_id) | Q(pk__in=concerned)).annotate(
        good=Subquery(good.order_by("-at", "-id").values("at")[:1])
    )
    theirs = Q(pk__in=[])
    for pk, at in agents.values_list("pk", "good"):
        since = Q(begun_at__gt=at) if at else Q(begun_at__gt=first) | Q(ended_at__gte=first - SLACK)
        theirs |= Q(instance__agent_id=pk) & since
    found = Effect.objects.filter(theirs).select_related("instance__agent", "command")
    if incident.closed_at is not None:
        found = found.filter(begun_at__lte=incident.closed_at)
    return found.order_by("begun_at", "pk")


def worklist_of_incident(incident: Incident) -> list[Effect]:
    return list(effects_of_incident(incident)[:MOST_LISTED])


def worklist_since(agent_id: int, instance_id: int | None, since: dt.datetime) -> list[Effect]:
    """The effects of one instance, or of all, from a moment on."""
    mine = Instance.objects.filter(agent_id=agent_id)
    if instance_id is not None:
        mine = mine.filter(pk=instance_id)
    from_then = since - dt.timedelta(microseconds=1)
    return list(effects_of(list(mine.values_list("pk", flat=True)), from_then, None)[:MOST_LISTED])


def between(instance_id: int, since: dt.datetime, until: dt.datetime) -> list[uuid.UUID]:
    """The checkpoints of an instance after one moment and up to another."""
    rows = Checkpoint.objects.filter(instance_id=instance_id, at__gt=since, at__lte=until)
    return list(rows.values_list("pk", flat=True))
