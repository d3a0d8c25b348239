"""Pauses: an instance held still, by its own budget or by a human, until somebody decides.

The agent's snapshot says what its own machine holds; the server holds what it was told and what humans
ordered. Three rules make the two agree:

1. Silence never lifts a pause. A snapshot that lacks the pause the server holds is answered with it.
2. A pause the agent brings opens its incident in the same transaction, however late it arrives.
3. Only the agent's word that it obeyed a command ends a pause (services/settling).

When both hold a pause, the server's is the one, and the agent takes over its id. The caller holds the
instance's row lock in all of this, so one snapshot is read after the other.
"""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from agents import announce
from agents.access import Actor
from agents.models import (
    Agent,
    Cause,
    Command,
    Heartbeat,
    Incident,
    Instance,
    Kind,
    Owner,
    Pause,
    PauseState,
    Status,
)
from agents.services import accounts, audit, causes, commands, entries, incidents, rows, settling
from agents.services.snapshots import PauseSaid, State, corrected, text

HOLDING = tuple(
    s.value for s in (PauseState.PAUSING, PauseState.PAUSED, PauseState.DECIDED, PauseState.STOPPED)
)
WAITS_AFTER = dt.timedelta(seconds=10)
HEARD_WITHIN = dt.timedelta(seconds=45)
STALE_AFTER = dt.timedelta(seconds=60)
STILL = (Status.PAUSED, Status.STOPPED, Status.IDLE, Status.RESTORING)
ORDER = [status.value for status in Status]


@dataclass(frozen=True)
class SnapshotResult:
    """Whether pages look different now, in more than what it does; and the pause that the answer carries."""

    changed: bool
    standing: bool
    pause: dict[str, Any] | None


@dataclass(frozen=True)
class Ordered:
    """A human's pause: its incident, and the instances that were held by it already."""

    incident: Incident | None
    paused: list[str]
    already: list[str]


def take_snapshot(
    *,
    agent: Agent,
    instance: Instance,
    run_id: uuid.UUID | None,
    state: State,
    now: dt.datetime,
    offset_s: float = 0.0,
) -> SnapshotResult:
    """Let a snapshot of the newest writer move what is known of its instance."""
    held = holding(instance)
    before, did = _standing(instance, held), instance.doing
    held = _settled(held, state, now)
    if state.pause is not None:
        known = None if held and held.pk == state.pause.id else _known(state.pause.id, instance)
        if held is None and known is not None and _only_late(known, now):
            return SnapshotResult(False, False, None)
        held = _brought(agent, instance, state.pause, held, known, now, offset_s)
    held = _moved(held, state)
    accounts.store(instance, state.account, now)
    if _note(instance, state, held, now, offset_s):
        refresh_agent(agent.pk, now)
    standing = before != _standing(instance, held)
    return SnapshotResult(standing or did != instance.doing, standing, answer(held))


def holding(instance: Instance) -> Pause | None:
    """The one pause that holds this instance (a partial unique index sees to it)."""
    return rows.first(Pause, "m.instance_id = %s AND m.state = ANY(%s)", [instance.pk, [*HOLDING]])


def answer(pause: Pause | None) -> dict[str, Any] | None:
    """The pause as it travels."""
    if pause is None:
        return None
    return {
        "id": str(pause.pk),
        "owner": pause.owner,
        "cause": pause.cause,
        "incident": pause.incident_id,
        "stopped": pause.state == PauseState.STOPPED,
        "decided": pause.state == PauseState.DECIDED,
    }


@transaction.atomic
def order(
    *, actor: Actor, agent: Agent, reason: str, now: dt.datetime, cause: str = Cause.HUMAN, title: str = ""
) -> Ordered:
    """A human asks every instance to stand still: one incident, a pause and a command each.

    A living process is *pausing* until it says itself that nothing runs; where none lives, nothing runs,
    and the pause meets the next start.
    """
    instances = list(Instance.objects.select_for_update().filter(agent=agent).order_by("pk"))
    held = {pause.instance_id for pause in Pause.objects.filter(instance__in=instances, state__in=HOLDING)}
    free = [instance for instance in instances if instance.pk not in held]
    already = [instance.name for instance in instances if instance.pk in held]
    if not free:
        return Ordered(None, [], already)
    said = f"{actor.name} paused it: {reason}" if reason else f"{actor.name} paused it"
    title = title or f"{agent.name} was paused by hand"
    incident = incidents.open_or_join(agent=agent, instances=free, cause=cause, title=title, now=now)
    for instance in free:
        hold(instance, incident, text(said, 500), now)
    refresh_agent(agent.pk, now)
    note(agent, None, Kind.COMMAND, "pause", "ordered", said, incident.pk, {"reason": reason}, now)
    announce.changed_agent(agent.pk, agent.project_id)
    audit.record(
        project_id=agent.project_id,
        actor=actor.name,
        verb="pause",
        object=f"agent {agent.name}",
        reason=reason,
        saw={"status": agent.status, "version": agent.version},
        now=now,
    )
    return Ordered(incident, [instance.name for instance in free], already)


def hold(instance: Instance, incident: Incident, cause: str, now: dt.datetime) -> Pause:
    """A human's pause of one instance, whose row is locked, with the command that tells its process."""
    running = instance.live and instance.gone_since is None and instance.reported not in STILL
    pause = Pause.objects.create(
        incident=incident,
        instance=instance,
        state=PauseState.PAUSING if running else PauseState.PAUSED,
        owner=Owner.HUMAN,
        cause=cause,
        in_flight=instance.doing if running else "",
        at=now,
    )
    payload = {"pause": str(pause.pk), "owner": pause.owner, "cause": cause, "incident": incident.pk}
    commands.order(
        instance=instance, kind=Command.Kind.PAUSE, payload=payload, pause=pause, decision=None, now=now
    )
    show(instance, Status.PAUSING if running else Status.PAUSED, now)
    return pause


def hold_absent(instance: Instance, incident: Incident, cause: str, now: dt.datetime) -> None:
    """A pause by the budget of an instance, locked, that does not live: its next start meets it."""
    Pause.objects.create(
        incident=incident,
        instance=instance,
        state=PauseState.PAUSED,
        owner=Owner.BUDGET,
        cause=cause,
        at=now,
    )
    show(instance, Status.PAUSED, now)
    refresh_agent(instance.agent_id, now)
    incidents.bump(incident.pk)


def refresh_agent(agent_id: int, now: dt.datetime) -> bool:
    """An agent's status is the highest of its instances'."""
    found = set(Instance.objects.filter(agent_id=agent_id).values_list("status", flat=True))
    highest = next((status for status in ORDER if status in found), Status.IDLE)
    other = Agent.objects.filter(pk=agent_id).exclude(status=highest)
    return other.update(status=highest, status_since=now) == 1


def listens(instance: Instance, now: dt.datetime) -> bool:
    """Whether a process hears commands now: one that runs, or one whose start was refused and that waits."""
    if instance.live:
        return instance.gone_since is None
    last_seen = Heartbeat.objects.filter(instance=instance).values_list("last_seen", flat=True).first()
    waits_since = (instance.gone_since or dt.datetime.min.replace(tzinfo=dt.UTC)) + WAITS_AFTER
    return last_seen is not None and last_seen > waits_since and now - last_seen < HEARD_WITHIN


def show(instance: Instance, status: str, now: dt.datetime) -> bool:
    """Give the instance this status; false when it had it."""
    other = Instance.objects.filter(pk=instance.pk).exclude(status=status)
    if not other.update(status=status, status_since=now):
        return False
    instance.status, instance.status_since = status, now
    return True


def note(
    agent: Agent,
    instance: Instance | None,
    kind: str,
    name: str,
    outcome: str,
    title: str,
    incident_id: int,
    body: dict[str, Any],
    now: dt.datetime,
) -> None:
    """One line of the timeline about an incident."""
    entries.write(
        project_id=agent.project_id,
        agent_id=agent.pk,
        instance_id=instance.pk if instance else None,
        at=now,
        kind=kind,
        name=name,
        outcome=outcome,
        title=text(title, 500),
        ref=str(incident_id),
        body={**body, "incident": incident_id},
        now=now,
    )


def _settled(held: Pause | None, state: State, now: dt.datetime) -> Pause | None:
    """The snapshot names the command it obeyed: if that was the decision about this pause, it has ended."""
    if held is None or state.settled is None or state.settled.pause != held.pk:
        return held
    command = Command.objects.filter(
        pk=state.settled.command, pause=held, kind__in=_kinds(state.settled.verb), instance=held.instance_id
    ).first()
    if command is not None and command.state != Command.State.REFUSED:
        settling.settle(command, now)
    held.refresh_from_db()
    return held if held.state in HOLDING else None


def _kinds(verb: str) -> tuple[str, ...]:
    """An agent that was rolled back may say that it was resumed."""
    return (verb, "rollback") if verb == "resume" else (verb,)


def _known(pause_id: uuid.UUID, instance: Instance) -> Pause | None:
    return Pause.objects.filter(pk=pause_id, instance=instance).first()


def _only_late(known: Pause, now: dt.datetime) -> bool:
    """A pause that ended a moment ago, in a snapshot made before: it overtook nothing but the receipt."""
    return known.settled_at is not None and now - known.settled_at < STALE_AFTER


def _brought(
    agent: Agent,
    instance: Instance,
    said: PauseSaid,
    held: Pause | None,
    known: Pause | None,
    now: dt.datetime,
    offset_s: float,
) -> Pause:
    """The pause that holds the instance once the agent has brought its own."""
    if held is not None and held.pk == said.id:
        return held
    if held is not None:
        if known is None and not Pause.objects.filter(pk=said.id).exists():
            _set_aside(instance, said, held, now, offset_s)
        return held
    incident, cause = causes.incident_of(agent, instance, said, now), text(said.cause, 500)
    if (
        known is not None
    ):  # Ended for us, but not on its machine (a home restored from a backup): decide again.
        Pause.objects.filter(pk=known.pk).update(
            incident=incident, state=PauseState.PAUSED, settled_at=None, cause=cause
        )
        known.refresh_from_db()
        return known
    taken = Pause.objects.filter(
        pk=said.id
    ).exists()  # Another instance's id: hostile or copied, never moved.
    return Pause.objects.create(
        id=uuid.uuid4() if taken else said.id,
        incident=incident,
        instance=instance,
        state=PauseState.PAUSING if said.in_flight else PauseState.PAUSED,
        owner=said.owner,
        cause=cause,
        in_flight=text(", ".join(said.in_flight), 200),
        at=corrected(said.at, offset_s, now),
    )


def _set_aside(instance: Instance, said: PauseSaid, held: Pause, now: dt.datetime, offset_s: float) -> None:
    """The agent paused by itself while the server's pause held it: kept as evidence, the decider sees it."""
    Pause.objects.create(
        id=said.id,
        incident_id=held.incident_id,
        instance=instance,
        state=PauseState.LIFTED,
        owner=said.owner,
        cause=text(said.cause, 500),
        at=corrected(said.at, offset_s, now),
        settled_at=now,
    )
    incidents.bump(held.incident_id)


def _moved(held: Pause | None, state: State) -> Pause | None:
    """*pausing* names what is in flight, *paused* is the agent's own word; deciders are shown the change."""
    if held is None or held.state not in (PauseState.PAUSING, PauseState.PAUSED):
        return held
    still = state.status in STILL
    to = PauseState.PAUSED if still else PauseState.PAUSING
    doing = "" if still else text(_in_flight(state), 200)
    if (to, doing) != (held.state, held.in_flight):
        moved = held.state != to
        Pause.objects.filter(pk=held.pk).update(state=to, in_flight=doing)
        held.state, held.in_flight = to, doing
        if moved:
            incidents.bump(held.incident_id)
    return held


def _in_flight(state: State) -> str:
    return ", ".join(state.pause.in_flight) if state.pause and state.pause.in_flight else state.doing or ""


def _status(instance: Instance, state: State, held: Pause | None) -> str:
    """What is shown: a pause that the server holds, or a blockage it sees, stands above the agent's word."""
    if instance.restoring_since is not None or state.status == "restoring":
        return Status.RESTORING
    if not state.living and instance.status == Status.SILENT:
        return Status.SILENT
    if held is None:
        still = instance.status == Status.BLOCKED and instance.blocked_since and state.status != "idle"
        return Status.BLOCKED if still else state.status
    if held.state == PauseState.STOPPED:
        return Status.STOPPED
    return Status.PAUSED if state.status in STILL else Status.PAUSING


def _note(instance: Instance, state: State, held: Pause | None, now: dt.datetime, offset_s: float) -> bool:
    """Write the snapshot into the instance's row; whether its status is another."""
    status = _status(instance, state, held)
    moved = instance.status != status
    instance.reported = state.status
    if moved:
        instance.status, instance.status_since = status, corrected(state.since, offset_s, now)
    if instance.live and state.living:
        instance.gone_since = None
    instance.doing = text(state.doing, 200)
    instance.doing_since = corrected(state.doing_since, offset_s, now) if state.doing else None
    instance.held_calls = state.held
    rows.save(
        instance, "reported", "status", "status_since", "gone_since", "doing", "doing_since",
        "held_calls", "account", "consecutive", "hourly",
    )  # fmt: skip
    return moved


def _standing(instance: Instance, held: Pause | None) -> tuple[Any, ...]:
    """What pages draw of an instance beside what it does: when both are the same, nobody is woken."""
    return (
        instance.status,
        instance.consecutive,
        instance.hourly,
        instance.held_calls,
        (held.pk, held.state, held.in_flight) if held else None,
    )
