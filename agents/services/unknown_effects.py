"""Effects that may have happened: a human is asked, once, by an incident of the cause *effect*.

    begun and its run ended, or its end says unknown ──▶ asked about: attached to the agent's open incident
    answered, or the agent found out ──▶ not waited for; the last one closes the incident

Nothing is held meanwhile: the agent goes on with all else, and what its key guards waits for the answer. An
agent that can find out by itself (`confirm=`) is given ten minutes. The row is the queue: the watchdog looks
every five seconds, so it does not matter which of a dead process's events came when.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from agents import announce
from agents.access import Actor
from agents.models import Cause, Effect, Incident, IncidentState, Instance, Kind, Run, RunState
from agents.queries.incidents import UNDECIDED
from agents.services import entries, incidents
from agents.services.snapshots import text

FINDS_OUT_WITHIN = dt.timedelta(minutes=10)
OPEN = (Effect.State.BEGUN, Effect.State.UNKNOWN)


def look(now: dt.datetime) -> int:
    """Ask about what nobody asks about yet, and close what is answered; how many instances it concerned."""
    waiting = _unasked(now).order_by("instance_id").values_list("instance_id", flat=True)
    asked = sum(_ask(pk, now) for pk in list(waiting.distinct()))
    for incident in _undecided().exclude(Exists(_open_of(OuterRef("pk")))).select_related("agent"):
        with transaction.atomic():
            _close(incident, now)
    return asked


def settle(effect: Effect, actor: Actor, now: dt.datetime) -> None:
    """It was answered for: the last one of an incident closes it, any other changes what it shows.

    Whoever answers has seen it.
    """
    if effect.incident_id is None:
        return
    incident = _undecided().select_related("agent").filter(pk=effect.incident_id).first()
    if incident is None:
        return
    Incident.objects.filter(pk=incident.pk, acknowledged_at=None).update(
        state=IncidentState.ACKNOWLEDGED, acknowledged_at=now, acknowledged_by=actor.user
    )
    if _open_of(incident.pk).exists():
        _name(incident)
        incidents.bump(incident.pk)
    else:
        _close(incident, now)


def _unasked(now: dt.datetime) -> QuerySet[Effect]:
    """What may have happened and stands in no incident; what the agent may find out only after a while."""
    since = now - FINDS_OUT_WITHIN
    over = Run.objects.filter(pk=OuterRef("run_id")).exclude(state=RunState.RUNNING)
    died = Q(state=Effect.State.BEGUN) & Exists(over)
    told = Q(state=Effect.State.UNKNOWN)
    late = Q(state=Effect.State.UNKNOWN, ended_at__lt=since) | Exists(over.filter(ended_at__lt=since))
    return Effect.objects.filter(died | told, Q(confirms=False) | late, answer="", incident=None)


@transaction.atomic
def _ask(instance_id: int, now: dt.datetime) -> bool:
    """Under the instance's lock, so that two beats, or an answer that comes at once, ask once.

    Two instances of one agent share its incident: whoever looks for it second finds it.
    """
    rows = Instance.objects.select_for_update(of=("self",)).select_related("agent")
    instance = rows.get(pk=instance_id)
    found = list(_unasked(now).filter(instance=instance).order_by("begun_at", "pk"))
    if not found:
        return False
    agent = instance.agent
    incidents.one_at_a_time(f"{agent.project_id}/effect/{agent.pk}")
    incident = _undecided().select_for_update().filter(agent=agent).order_by("pk").first()
    if incident is None:
        incident = incidents.open_or_join(
            agent=agent, instances=[instance], cause=Cause.EFFECT, title=_title(found), now=now
        )
    else:
        incident.instances.add(instance)
        incidents.bump(incident.pk)
    Effect.objects.filter(pk__in=[effect.pk for effect in found]).update(incident=incident)
    _name(incident)
    _note(incident, instance, f"Asked whether it happened: {_title(found)}", "asked", now)
    announce.changed_agent(agent.pk, agent.project_id)
    return True


def _name(incident: Incident) -> None:
    """Its title names what is left."""
    left = list(_open_of(incident.pk).order_by("begun_at", "pk")[:201])
    if left:
        Incident.objects.filter(pk=incident.pk).update(title=_title(left))


def _title(found: list[Effect]) -> str:
    first = found[0]
    if len(found) > 1:
        many = f"{len(found)}" if len(found) <= 200 else "More than 200"
        return f"{many} effects may have happened"
    return text(f"{first.name}{f' {first.key}' if first.key else ''} may have happened", 300)


def _close(incident: Incident, now: dt.datetime) -> bool:
    sentence = f"Every effect of {incident.agent.name} that may have happened is answered for"
    return incidents.close_by_itself(incident, sentence, now)


def _undecided() -> QuerySet[Incident]:
    return Incident.objects.filter(cause=Cause.EFFECT, state__in=UNDECIDED)


def _open_of(incident: Any) -> QuerySet[Effect]:
    return Effect.objects.filter(incident=incident, answer="", state__in=OPEN)


def _note(incident: Incident, instance: Instance, title: str, outcome: str, now: dt.datetime) -> None:
    entries.write(
        project_id=incident.project_id,
        agent_id=instance.agent_id,
        instance_id=instance.pk,
        at=now,
        kind=Kind.SIGNAL,
        name="effect",
        outcome=outcome,
        title=title,
        ref=str(incident.pk),
        body={"incident": incident.pk},
        now=now,
    )
