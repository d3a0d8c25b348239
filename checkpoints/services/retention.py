"""Which checkpoints stay, and dropping the others. Dropping one touches no other: its root becomes a node.

Always kept: the pinned; the newest of each instance, usable or not; the newest good one of each instance and
the agent's last known good; what an incident, a decision, a rollback or a watch speaks of. Of the rest,
thinning.py leaves what the agent's policy says.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from dataclasses import dataclass, field

from django.db import connection, transaction

from agents.access import Actor
from agents.failpoint import failpoint
from agents.models import Agent, Decision, Incident, Project
from agents.services import audit
from checkpoints import checks, queries, store, thinning
from checkpoints.models import Checkpoint, RetentionPolicy, Rollback, Standing, Watch
from checkpoints.services import sweeping

BATCH = 2_000
BEFORE_INCIDENT = 200
HAND_DOWN = """
UPDATE checkpoints_checkpoint c SET parent = said.parent, parent_root = coalesce(c.parent_root, said.root)
FROM unnest(%s::uuid[], %s::uuid[], %s::bytea[]) said(id, parent, root) WHERE c.id = said.id
"""


@dataclass
class Retained:
    """What was done, and the sentence that says it."""

    dropped: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    freed: sweeping.Freed = field(default_factory=sweeping.Freed)

    @property
    def sentence(self) -> str:
        kept = ", ".join(f"{count} {why}" for why, count in sorted(self.kept.items()))
        freed = self.freed.sentence or f"freed {self.freed.nodes:,} nodes, {self.freed.bytes:,} bytes"
        return f"dropped {self.dropped:,} checkpoints, {freed}; kept {kept or 'none'}"


def retain(project: Project, now: dt.datetime) -> Retained:
    """Thin all agents of the project, then free what nothing needs any more."""
    done = Retained()
    for agent in Agent.objects.filter(project=project).order_by("pk"):
        _thin(agent, now, done)
    done.freed = sweeping.sweep(project.pk, now)
    return done


@transaction.atomic
def set_policy(*, actor: Actor, agent: Agent, steps: object, now: dt.datetime) -> None:
    """How this agent's checkpoints are thinned from now on; ValueError when it cannot be."""
    before, wanted = policy_of(agent), thinning.checked(steps)
    if wanted == before:
        return
    RetentionPolicy.objects.update_or_create(agent=agent, defaults={"steps": wanted})
    audit.record(
        project_id=agent.project_id,
        actor=actor.name,
        verb="change retention",
        object=f"agent {agent.name}",
        reason="",
        saw={"before": before, "after": wanted},
        now=now,
    )


def policy_of(agent: Agent) -> list[thinning.Step]:
    found = RetentionPolicy.objects.filter(agent=agent).first()
    return [(age, every) for age, every in found.steps] if found else thinning.DEFAULT


def tried(agent: Agent, steps: list[thinning.Step], now: dt.datetime) -> tuple[int, int]:
    """How many there are, and how many of them this policy would leave if it thinned now."""
    seen = _seen(agent)
    there = {one.id for one in seen}
    return len(there), len(thinning.left_by_age(seen, steps, now) | (_needed(agent).keys() & there))


def _seen(agent: Agent) -> list[thinning.Seen]:
    rows = Checkpoint.objects.filter(agent=agent).order_by("at", "id")
    parts = rows.values_list("pk", "at", "standing").iterator(chunk_size=5_000)
    return [thinning.Seen(id, at, standing == Standing.GOOD) for id, at, standing in parts]


def _thin(agent: Agent, now: dt.datetime, done: Retained) -> None:
    seen = _seen(agent)
    by_age = thinning.left_by_age(seen, policy_of(agent), now)
    needed = _needed(agent)
    going = [one.id for one in seen if one.id not in by_age and one.id not in needed]
    done.kept["by age"] += len(by_age)
    done.kept.update(why for id, why in needed.items() if id not in by_age)
    for start in range(0, len(going), BATCH):
        done.dropped += _drop(agent, going[start : start + BATCH])


def _needed(agent: Agent) -> dict[object, str]:
    """Ids that stay whatever their age, and why."""
    rows = Checkpoint.objects.filter(agent=agent)
    found: dict[object, str] = dict.fromkeys(_spoken_of(agent), "by incidents")
    said = Watch.objects.filter(agent=agent, op=checks.AS_IN).values_list("value", flat=True)
    watched = [id for id in map(checks.checkpoint_in, said) if id]
    found.update(dict.fromkeys(rows.filter(pk__in=watched).values_list("pk", flat=True), "by watches"))
    for id in rows.filter(pinned=True).values_list("pk", flat=True):
        found[id] = "pinned"
    for instance in agent.instances.values_list("pk", flat=True):
        mine = rows.filter(instance_id=instance).order_by("-at", "-id").values_list("pk", flat=True)
        found.update(dict.fromkeys(mine[:1], "newest"))
        found.update(dict.fromkeys(mine.filter(standing__in=queries.USABLE)[:1], "newest"))
        found.update(dict.fromkeys(mine.filter(standing=Standing.GOOD)[:1], "last good"))
    if agent.last_good is not None:
        found[agent.last_good] = "last good"
    return found


def _spoken_of(agent: Agent) -> set[object]:
    """What incidents, decisions and rollbacks of the agent are about."""
    found: set[object] = set()
    for incident in Incident.objects.filter(instances__agent=agent).distinct().select_related("agent"):
        since = queries.first_failure_at(incident, agent.pk)
        good = queries.last_known_good(agent.pk, before=since)
        rows = Checkpoint.objects.filter(agent=agent, at__lte=incident.opened_at)
        if good is not None:
            found.add(good.pk)
            rows = rows.filter(at__gte=good.at)
        else:
            rows = rows.filter(at__gte=since)
        found.update(rows.order_by("-at").values_list("pk", flat=True)[:BEFORE_INCIDENT])
    targets = Decision.objects.filter(pause__instance__agent=agent, target__isnull=False)
    found.update(targets.values_list("target", flat=True))
    for pair in Rollback.objects.filter(agent=agent).values_list("checkpoint", "before"):
        found.update(pair)
    return found


@transaction.atomic
def _drop(agent: Agent, ids: list[object]) -> int:
    """These go; nobody uploads meanwhile."""
    store.hold_alone(agent.project_id)
    rows = Checkpoint.objects.filter(agent=agent, pk__in=ids, pinned=False)
    locked = list(rows.select_for_update().order_by("at", "id").values_list("pk", flat=True))
    last_good = Agent.objects.values_list("last_good", flat=True).get(pk=agent.pk)  # read under the lock
    going = [id for id in locked if id != last_good]
    store.take_over(agent.project_id, going)
    failpoint("retention:taken_over")
    _hand_down(agent, going)
    Checkpoint.objects.filter(pk__in=going).delete()
    failpoint("retention:dropped")
    return len(going)


def _hand_down(agent: Agent, going: list[uuid.UUID]) -> None:
    """The children of what goes hang on the next above, and keep the name their manifest was made with."""
    rows = Checkpoint.objects.filter(agent=agent)
    parts = rows.filter(pk__in=going).values_list("pk", "parent", "root")
    above: dict[uuid.UUID | None, tuple[uuid.UUID | None, bytes]] = {
        id: (parent, root) for id, parent, root in parts
    }
    said = []
    for child, parent in rows.filter(parent__in=going).exclude(pk__in=going).values_list("pk", "parent"):
        assert parent is not None
        at: uuid.UUID | None = parent
        root = above[parent][1]
        while at in above:
            at = above[at][0]
        said.append((child, at, root))
    if said:
        with connection.cursor() as cursor:
            cursor.execute(HAND_DOWN, list(map(list, zip(*said, strict=True))))
