"""Where it began to be wrong, and what saying so will do: told before it is done.

An action is wrong from its beginning on, not from its end: what it reached in between is on the worklist, and
the checkpoint that was taken just before an effect stays one to go back to.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from dataclasses import dataclass

from agents.models import Agent, Effect, Entry, Instance, Kind, Pause, PauseState
from checkpoints import blast, queries
from checkpoints.models import Checkpoint, Standing

DAY = dt.timedelta(days=1)
MOMENT = dt.timedelta(microseconds=1)
MOST_MS = 86_400_000
HOLDING = (PauseState.PAUSING, PauseState.PAUSED, PauseState.DECIDED, PauseState.STOPPED)


@dataclass(frozen=True)
class Place:
    """Where it began to be wrong: a checkpoint or an entry. No instance: all of them."""

    since: dt.datetime
    instance_id: int | None
    words: str
    checkpoint: Checkpoint | None = None


@dataclass(frozen=True)
class Foreseen:
    """What *wrong since here* will do. `held`: the incidents that hold instances already."""

    place: Place
    runs: int
    still: int
    held: list[int]
    condemned: int
    last_known_good: Checkpoint | None
    effects: int


def place_of(agent: Agent, named: str) -> Place | None:
    """The checkpoint or entry of this agent with this id."""
    try:
        id: uuid.UUID | None = uuid.UUID(named)
    except ValueError:
        id = None
    checkpoint = queries.of_agent(agent.pk, id) if id is not None else None
    if checkpoint is not None:
        label = f" “{checkpoint.label}”" if checkpoint.label else ""
        return Place(checkpoint.at, checkpoint.instance_id, f"checkpoint{label}", checkpoint)
    entry = _entry(agent, named, id)
    if entry is None:
        return None
    return Place(_beginning(entry), entry.instance_id, entry.title or entry.name)


def foresee(agent: Agent, place: Place) -> Foreseen:
    """In as many questions, however much came since."""
    instances = list(Instance.objects.filter(agent=agent))
    pauses = Pause.objects.filter(instance__agent=agent, state__in=HOLDING)
    held = dict(pauses.order_by("pk").values_list("instance_id", "incident_id"))
    free = [one for one in instances if one.pk not in held]
    taken = Checkpoint.objects.filter(agent=agent, at__gte=place.since).exclude(standing=Standing.BAD)
    concerned = [one.pk for one in instances]
    if place.instance_id is not None:
        taken, concerned = taken.filter(instance_id=place.instance_id), [place.instance_id]
    return Foreseen(
        place=place,
        runs=sum(one.live and one.gone_since is None for one in free),
        still=sum(not (one.live and one.gone_since is None) for one in free),
        held=sorted(set(held.values())),
        condemned=taken.count(),
        last_known_good=queries.last_known_good(agent.pk, before=place.since, instance_id=place.instance_id),
        effects=blast.effects_of(concerned, place.since - MOMENT, None).count(),
    )


def _entry(agent: Agent, named: str, id: uuid.UUID | None) -> Entry | None:
    """By run and number, or, of the server's own, by its id, which begins with its time."""
    found = Entry.objects.filter(agent_id=agent.pk)
    if id is not None:
        made = dt.datetime.fromtimestamp(min(id.int >> 80, 4_102_444_800_000) / 1000, dt.UTC)
        return found.filter(id=str(id), at__gt=made - DAY, at__lte=made + DAY).first()
    run, _, seq = named.partition("-")
    try:
        key = uuid.UUID(run), int(seq)
    except ValueError:
        return None
    return found.filter(run_id=key[0], seq=key[1]).first() if 0 < key[1] < 2**63 else None


def _beginning(entry: Entry) -> dt.datetime:
    """When what ended with this entry began; of a failure, the action that it ended."""
    action = entry
    if entry.kind == Kind.FAILURE and entry.run_id is not None and entry.seq is not None:
        before = Entry.objects.filter(
            agent_id=entry.agent_id, run_id=entry.run_id, seq=entry.seq - 1, kind=Kind.ACTION
        )
        action = before.filter(at__gt=entry.at - DAY, at__lte=entry.at).first() or entry
    if action.kind != Kind.ACTION:
        return entry.at
    act, took = _said(action.body)
    if action.run_id is None or action.instance_id is None:
        return entry.at
    effect = Effect.objects.filter(pk=f"{action.run_id.hex}-{act}", instance_id=action.instance_id)
    begun = effect.values_list("begun_at", flat=True).first()
    return min(entry.at, begun or action.at - took)


def _said(body: str) -> tuple[int, dt.timedelta]:
    """The action's number, and how long it took: at most a day, whatever it says."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    said = said if isinstance(said, dict) else {}
    act, took = said.get("act"), said.get("took_ms")
    number = act if isinstance(act, int) and not isinstance(act, bool) else -1
    if isinstance(took, bool) or not isinstance(took, int | float) or not 0 <= took <= MOST_MS:
        took = 0
    return number, dt.timedelta(milliseconds=took)
