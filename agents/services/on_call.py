"""Setting up who is on call: teams, rotas with their overrides, and policies. Each change is written down.

What is named here belongs to one project: a person is one of its members, a channel one of its own.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from zoneinfo import available_timezones

from django.db import IntegrityError, models, transaction

from agents.access import Actor
from agents.announce import announce
from agents.models import (
    Agent,
    AlertTarget,
    EscalationPolicy,
    Override,
    Schedule,
    Team,
    Turn,
    User,
    Whom,
)
from agents.models.oncall import WHOLE_WEEK
from agents.queries import on_call
from agents.services import audit
from agents.services.snapshots import text

Row = TypeVar("Row", bound=models.Model)
STEPS, WAIT_AT_MOST_S, REPEATS_AT_MOST = 12, 24 * 3600, 20
SEEN_FOR_S = (300, 24 * 3600)
STAND_IN_AT_MOST = dt.timedelta(days=60)
NAMED: Mapping[str, tuple[type[models.Model], str]] = {
    Whom.TEAM: (Team, "team"),
    Whom.SCHEDULE: (Schedule, "rota"),
    Whom.CHANNEL: (AlertTarget, "channel"),
}


class Refused(ValueError):
    """It cannot be kept like this; `field` is the one to change, the message says how."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class Hours:
    """A rota's turns, and the hours that it covers (None: all day)."""

    zone: str
    starts_on: dt.date
    hand_over: dt.time
    every_days: int
    weekdays: int
    since: dt.time | None = None
    until: dt.time | None = None


@dataclass(frozen=True)
class Rules:
    """A policy as it is written: `steps` are (whom, id, seconds to wait after it)."""

    name: str
    steps: Sequence[tuple[str, int, int]]
    repeats: int
    seen_for_s: int
    is_default: bool
    quiet_zone: str = "UTC"
    quiet_from: dt.time | None = None
    quiet_until: dt.time | None = None


@transaction.atomic
def keep_team(
    *, actor: Actor, pk: int | None, name: str, members: Collection[int], now: dt.datetime
) -> Team | None:
    """None when it is not there, or another project's."""
    team = Team(project_id=actor.project_id) if pk is None else _mine(Team, actor, pk)
    if team is None:
        return None
    if not members:
        raise Refused("members", "Choose who belongs to it: a team of nobody reaches nobody.")
    team.name = _name(name)
    _saved(team)
    team.members.set(_members(actor, members, "members"))
    _written(actor, "keep team", "team", team, now)
    return team


@transaction.atomic
def keep_rota(
    *, actor: Actor, pk: int | None, name: str, people: Sequence[int], hours: Hours, now: dt.datetime
) -> Schedule | None:
    """The people in the order of their turns; None when it is not there, or another project's."""
    schedule = Schedule(project_id=actor.project_id) if pk is None else _mine(Schedule, actor, pk)
    if schedule is None:
        return None
    _check_hours(hours)
    if not people:
        raise Refused("people", "Name at least one person: a rota of nobody is one gap.")
    users = {user.pk: user for user in _members(actor, people, "people")}
    schedule.name, schedule.zone, schedule.starts_on = _name(name), hours.zone, hours.starts_on
    schedule.hand_over, schedule.every_days = hours.hand_over, hours.every_days
    schedule.weekdays, schedule.since, schedule.until = hours.weekdays, hours.since, hours.until
    _saved(schedule)
    Turn.objects.filter(schedule=schedule).delete()
    Turn.objects.bulk_create(
        Turn(schedule=schedule, user=users[pk], position=place) for place, pk in enumerate(people)
    )
    _written(actor, "keep rota", "rota", schedule, now)
    return schedule


@transaction.atomic
def stand_in(
    *,
    actor: Actor,
    schedule_id: int,
    person: int,
    starts_at: dt.datetime,
    ends_at: dt.datetime,
    now: dt.datetime,
) -> Override | None:
    """Somebody else for a while; None when there is no such rota here."""
    schedule = _mine(Schedule, actor, schedule_id)
    if schedule is None:
        return None
    if not starts_at < ends_at <= starts_at + STAND_IN_AT_MOST or ends_at <= now:
        raise Refused("ends_at", "It ends after it starts, in the future, and lasts at most 60 days.")
    (user,) = _members(actor, [person], "person")
    made = Override.objects.create(
        schedule=schedule, user=user, starts_at=starts_at, ends_at=ends_at, by=actor.name, created_at=now
    )
    saw = {"person": user.email, "from": starts_at.isoformat(), "to": ends_at.isoformat()}
    _written(actor, "stand in", "rota", schedule, now, saw)
    return made


@transaction.atomic
def end_stand_in(*, actor: Actor, pk: int, now: dt.datetime) -> bool:
    """It is as the rota says again."""
    found = Override.objects.filter(pk=pk, schedule__project_id=actor.project_id).select_related("schedule")
    override = found.first()
    if override is None:
        return False
    override.delete()
    _written(actor, "end stand-in", "rota", override.schedule, now)
    return True


@transaction.atomic
def keep_policy(*, actor: Actor, pk: int | None, rules: Rules, now: dt.datetime) -> EscalationPolicy | None:
    """None when it is not there, or another project's. Incidents that are open keep the steps they had."""
    policy = (
        EscalationPolicy(project_id=actor.project_id) if pk is None else _mine(EscalationPolicy, actor, pk)
    )
    if policy is None:
        return None
    _check_rules(actor, rules)
    policy.name, policy.repeats, policy.seen_for_s = _name(rules.name), rules.repeats, rules.seen_for_s
    policy.steps = [
        {"tell": [{"kind": str(whom), "id": id}], "wait_s": wait} for whom, id, wait in rules.steps
    ]
    policy.quiet_zone, policy.quiet_from, policy.quiet_until = (
        rules.quiet_zone, rules.quiet_from, rules.quiet_until,
    )  # fmt: skip
    policy.is_default = rules.is_default
    if rules.is_default:
        others = EscalationPolicy.objects.filter(project_id=actor.project_id, is_default=True)
        others.exclude(pk=policy.pk).update(is_default=False)
    _saved(policy)
    _written(actor, "keep policy", "policy", policy, now, {"steps": policy.steps})
    return policy


@transaction.atomic
def choose_policy(*, actor: Actor, agent: Agent, pk: int | None, now: dt.datetime) -> None:
    """By which policy people are told of this agent from its next incident on; None: by the project's."""
    chosen = None if pk is None else _mine(EscalationPolicy, actor, pk)
    if pk is not None and chosen is None:
        raise Refused("escalation", "This policy is gone: choose another.")
    changed = Agent.objects.filter(pk=agent.pk).exclude(escalation_id=pk)
    if changed.update(escalation=chosen):
        to = chosen.name if chosen else "the project's"
        _audited(actor, "choose policy", f"agent {agent.name}", now, {"policy": to})


@transaction.atomic
def remove(*, actor: Actor, kind: type[models.Model], what: str, pk: int, now: dt.datetime) -> bool:
    """A team, rota or policy. Steps that name it reach every channel from now on, and say why."""
    found = _mine(kind, actor, pk)
    if found is None:
        return False
    name = str(found.name)  # type: ignore[attr-defined]
    found.delete()
    _audited(actor, f"remove {what}", f"{what} {pk} ({name})", now, {})
    return True


def _check_hours(hours: Hours) -> None:
    if hours.zone not in available_timezones():
        raise Refused("zone", "Write a time zone's name, like Europe/Berlin.")
    if not 1 <= hours.every_days <= 90:
        raise Refused("every_days", "A turn lasts 1 to 90 days.")
    if not 0 < hours.weekdays <= WHOLE_WEEK:
        raise Refused("weekdays", "Choose at least one day.")
    if (hours.since is None) != (hours.until is None):
        raise Refused("until", "Write both hours, or neither for the whole day.")


def _check_rules(actor: Actor, rules: Rules) -> None:
    if not 1 <= len(rules.steps) <= STEPS:
        raise Refused("steps", f"A policy has 1 to {STEPS} steps: say who is told first.")
    if any(not 0 <= wait <= WAIT_AT_MOST_S for *_, wait in rules.steps):
        raise Refused("steps", "A step waits for at most a day.")
    if rules.steps[-1][2] < 60:
        raise Refused("steps", "The last step waits at least a minute before it all begins again.")
    if not 0 <= rules.repeats <= REPEATS_AT_MOST:
        raise Refused("repeats", f"It is repeated at most {REPEATS_AT_MOST} times.")
    if not SEEN_FOR_S[0] <= rules.seen_for_s <= SEEN_FOR_S[1]:
        raise Refused("seen_for", "An acknowledgement holds for 5 minutes to a day.")
    if (rules.quiet_from is None) != (rules.quiet_until is None):
        raise Refused("quiet_until", "Write both ends of the quiet hours, or neither.")
    if rules.quiet_zone not in available_timezones():
        raise Refused("quiet_zone", "Write a time zone's name, like Europe/Berlin.")
    _members(actor, {id for whom, id, _ in rules.steps if whom == Whom.PERSON}, "steps")
    for whom, (kind, word) in NAMED.items():
        ids = {id for named, id, _ in rules.steps if named == whom}
        rows = kind._default_manager.filter(pk__in=ids, project_id=actor.project_id)
        if rows.count() != len(ids):
            raise Refused("steps", f"There is no such {word} in this project.")


def _members(actor: Actor, ids: Collection[int], field: str) -> list[User]:
    """Members of the project who may sign in, each once; an administrator of all projects counts as one."""
    found = list(on_call.people(actor.project_id).filter(pk__in=set(ids)))
    if len(found) != len(set(ids)):
        raise Refused(field, "Somebody named here is no member of this project any more: choose again.")
    return found


def _name(name: str) -> str:
    name = text(name.strip(), 100)
    if not name:
        raise Refused("name", "Give it a name: alerts say it.")
    return name


def _saved(row: models.Model) -> None:
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        raise Refused("name", "Another one has this name: choose one that tells them apart.") from error


def _mine(kind: type[Row], actor: Actor, pk: int) -> Row | None:
    found = kind._default_manager.select_for_update().filter(pk=pk, project_id=actor.project_id)
    return found.first()


def _written(
    actor: Actor, verb: str, what: str, row: Any, now: dt.datetime, saw: dict[str, Any] | None = None
) -> None:
    _audited(actor, verb, f"{what} {row.pk} ({row.name})", now, saw or {})


def _audited(actor: Actor, verb: str, object: str, now: dt.datetime, saw: dict[str, Any]) -> None:
    announce(f"project-{actor.project_id}", int(now.timestamp() * 1000))
    audit.record(
        project_id=actor.project_id, actor=actor.name, verb=verb, object=object, reason="", saw=saw, now=now
    )
