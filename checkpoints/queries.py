"""Reading checkpoints: lists by key, the newest usable, the last known good; without the bytes of roots."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from functools import cache
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Model, Prefetch, Q, QuerySet

from agents.models import Decision, Entry, Incident, Instance, Kind
from agents.services.rows import Statement
from checkpoints.models import Checkpoint, Dependencies, Report, Rollback, Standing, Watch, Watched

BYTES = ("root_body", "root_base", "parent_root")
USABLE = (Standing.GOOD, Standing.UNPROVEN)
DAMAGE = "verify"  # who has judged what is damaged
HOUR = dt.timedelta(hours=1)
LONGEST_STREAK = 200


class Key(NamedTuple):
    """A place in a list, newest first."""

    at: dt.datetime
    id: uuid.UUID

    def __str__(self) -> str:
        micros = (self.at - _EPOCH) // dt.timedelta(microseconds=1)
        return f"{micros}-{self.id.hex}"


_EPOCH = dt.datetime.fromtimestamp(0, dt.UTC)


def key(text: str) -> Key | None:
    """The place of this text; None when it is none."""
    micros, _, id = text.partition("-")
    try:
        return Key(_EPOCH + dt.timedelta(microseconds=int(micros)), uuid.UUID(hex=id))
    except (ValueError, OverflowError):
        return None


def rows() -> QuerySet[Checkpoint]:
    return Checkpoint.objects.defer(*BYTES).select_related("dependencies", "instance")


def listed(
    agent_id: int, *, before: Key | None = None, limit: int = 50, standing: str | None = None
) -> list[Checkpoint]:
    """The newest first; one more than `limit` tells that there is a next page."""
    found = rows().filter(agent_id=agent_id).order_by("-at", "-id")
    if standing:
        found = found.filter(standing=standing)
    if before is not None:
        found = found.filter(Q(at__lt=before.at) | Q(at=before.at, id__lt=before.id), at__lte=before.at)
    return list(found[: limit + 1])


def one(project_id: int, id: uuid.UUID) -> Checkpoint | None:
    return rows().select_related("agent__project").filter(project_id=project_id, pk=id).first()


def beginning_with(project_id: int, prefix: str, limit: int) -> list[Checkpoint]:
    """Those whose id begins with these hex digits."""
    digits = prefix.replace("-", "")[:32]
    low, high = (uuid.UUID(hex=digits.ljust(32, fill)) for fill in "0f")
    found = rows().select_related("agent").filter(project_id=project_id, pk__range=(low, high))
    return list(found.order_by("pk")[:limit])


def of_agent(agent_id: int, id: uuid.UUID) -> Checkpoint | None:
    return rows().filter(agent_id=agent_id, pk=id).first()


def newest(agent_id: int, instance_id: int) -> Checkpoint | None:
    found = rows().filter(agent_id=agent_id, instance_id=instance_id)
    return found.order_by("-at", "-id").first()


def newest_of(agent_id: int, instance: str | None = None) -> Checkpoint | None:
    """The newest of an agent, or of one of its instances by name."""
    found = rows().filter(agent_id=agent_id)
    if instance is not None:
        found = found.filter(instance__name=instance)
    return found.order_by("-at", "-id").first()


def newest_usable(instance: Instance) -> Checkpoint | None:
    """What entering a run resumes from: memory that belongs to the files as they are.

    What was doubted, or called bad, is usable once a human let the agent go on from there all the same.
    """
    let_go_on = Decision.objects.filter(pause__instance=instance, verb__in=("resume", "start"))
    approved = let_go_on.order_by("-at").values_list("at", flat=True).first()
    usable = Q(standing__in=USABLE)
    if approved is not None:
        usable |= Q(at__lte=approved) & ~Q(judged_by=DAMAGE)
    found = rows().filter(usable, agent_id=instance.agent_id, instance_id=instance.pk)
    return found.order_by("-at", "-id").first()


class Earlier(NamedTuple):
    """What a new checkpoint is compared with."""

    same: Checkpoint | None
    parent: Checkpoint | None
    newest: Checkpoint | None


def asking_earlier(instance: Instance, id: uuid.UUID, parent: uuid.UUID | None) -> Statement:
    """The checkpoint of this id, whoever's; the parent, if it is the agent's; the newest."""
    return _earlier(), [[id, parent], instance.agent_id, instance.pk]


def earlier_in(
    rows: list[tuple[Any, ...]], instance: Instance, id: uuid.UUID, parent: uuid.UUID | None
) -> Earlier:
    found = [_built(row) for row in rows]
    same = next((one for one in found if one.pk == id), None)
    mine = [one for one in found if one.agent_id == instance.agent_id]
    own = [one for one in mine if one.instance_id == instance.pk and one.pk != id]
    return Earlier(
        same,
        next((one for one in mine if one.pk == parent), None),
        max(own, key=lambda one: (one.at, one.pk), default=None),
    )


def _fields(model: type[Model]) -> list[Any]:
    return [field for field in model._meta.concrete_fields if field.attname not in BYTES]


@cache
def _earlier() -> str:
    columns = [f'k."{field.column}"' for field in _fields(Checkpoint)]
    columns += [f'd."{field.column}"' for field in _fields(Dependencies)]
    rows = (
        f"SELECT {', '.join(columns)} FROM checkpoints_checkpoint k"
        " JOIN checkpoints_dependencies d ON d.id = k.dependencies_id"
    )
    newest = "WHERE k.agent_id = %s AND k.instance_id = %s ORDER BY k.at DESC LIMIT 1"
    return f"{rows} WHERE k.id = ANY(%s) UNION ALL ({rows} {newest})"


def _built(row: tuple[Any, ...]) -> Checkpoint:
    width = len(_fields(Checkpoint))
    names = [field.attname for field in _fields(Checkpoint)]
    values = list(row[:width])
    for at in (names.index("notes"), names.index("moving")):
        values[at] = json.loads(values[at]) if values[at] else None
    found = Checkpoint.from_db(connection.alias, names, values)
    by = [field.attname for field in _fields(Dependencies)]
    found.dependencies = Dependencies.from_db(connection.alias, by, row[width:])
    return found


def last_known_good(
    agent_id: int, *, before: dt.datetime | None = None, instance_id: int | None = None
) -> Checkpoint | None:
    """The newest good one, of the agent or one instance, taken before that time."""
    found = rows().filter(agent_id=agent_id, standing=Standing.GOOD)
    if instance_id is not None:
        found = found.filter(instance_id=instance_id)
    if before is not None:
        found = found.filter(at__lt=before)
    return found.order_by("-at", "-id").first()


def last_known_good_of(
    incident: Incident, agent_id: int, instance_id: int | None = None
) -> Checkpoint | None:
    """The newest good one of the agent before the incident's first failure."""
    return last_known_good(agent_id, before=first_failure_at(incident, agent_id), instance_id=instance_id)


def first_failure_at(incident: Incident, agent_id: int) -> dt.datetime:
    """When what led to the incident began: the streak's first failure, or the hour's; else its opening.

    What a human says is wrong since then comes before either. The streak is the failures since the last
    verdict `pass`; when it is shorter than the limit, the hour was full, and its first failure counts.
    """
    reported = Report.objects.filter(incident=incident, agent_id=agent_id)
    since: dt.datetime | None = reported.order_by("since").values_list("since", flat=True).first()
    if since is not None:
        return min(since, incident.opened_at)
    hour = Entry.objects.filter(
        agent_id=agent_id, at__lte=incident.opened_at, at__gt=incident.opened_at - HOUR
    ).order_by("-at", "-id")
    passed = hour.filter(verdict="pass").exclude(kind=Kind.FAILURE).values_list("at", flat=True).first()
    failed = hour.filter(kind=Kind.FAILURE).exclude(kind=Kind.ACTION)
    times = list(failed.values_list("at", flat=True)[:LONGEST_STREAK])
    streak = [at for at in times if passed is None or at > passed]
    if len(streak) < incident.agent.max_consecutive:
        streak = times
    return min(streak, default=incident.opened_at)


def reports_of(incident: Incident) -> list[Report]:
    """What humans said is wrong since when, in this incident; the earliest moment first."""
    found = Report.objects.filter(incident=incident).select_related("agent", "instance")
    return list(found.order_by("since", "pk"))


def watches(agent_id: int) -> list[Watch]:
    """What is watched, with how each instance stands; in the order they were kept."""
    found = Watch.objects.filter(agent_id=agent_id).order_by("pk")
    return list(found.prefetch_related(Prefetch("seen", Watched.objects.select_related("instance"))))


def watch(project_id: int, pk: int) -> Watch | None:
    if not 0 < pk < 2**63:
        return None
    return Watch.objects.select_related("agent__project").filter(pk=pk, agent__project_id=project_id).first()


def rollbacks() -> QuerySet[Rollback]:
    """With what their `stage` asks for."""
    return Rollback.objects.select_related("command", "instance", "agent")


def rollback(project_id: int, id: uuid.UUID) -> Rollback | None:
    return rollbacks().filter(project_id=project_id, pk=id).first()


def last_verified(instance_id: int, *, since: dt.datetime) -> Rollback | None:
    """The newest rollback of this instance that was proven since then."""
    found = rollbacks().filter(instance_id=instance_id, state=Rollback.State.VERIFIED, ended_at__gt=since)
    return found.order_by("-ended_at").first()


def rollbacks_of(
    agent_id: int, *, before: Key | None = None, limit: int = 50, incident_id: int | None = None
) -> list[Rollback]:
    """The newest first; one more than `limit` tells that there is a next page."""
    found = rollbacks().filter(agent_id=agent_id).order_by("-ordered_at", "-id")
    if incident_id is not None:
        found = found.filter(incident=incident_id)
    if before is not None:
        later = Q(ordered_at__lt=before.at) | Q(ordered_at=before.at, id__lt=before.id)
        found = found.filter(later, ordered_at__lte=before.at)
    return list(found[: limit + 1])


def rollbacks_of_incident(incident_id: int) -> list[Rollback]:
    """What its decisions ordered, the newest first: whoever follows the decision looks here."""
    return list(rollbacks().filter(incident=incident_id).order_by("-ordered_at", "-id"))


def undoes(checkpoint: Checkpoint) -> bool:
    """Whether it was kept just before a rollback, so that going to it undoes that."""
    return Rollback.objects.filter(agent_id=checkpoint.agent_id, before=checkpoint.pk).exists()
