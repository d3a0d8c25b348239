"""Whom a step reaches: people, teams, whoever is on duty, and channels, as the targets to write to.

Everything is read at once for any number of steps: the number of queries does not grow with them.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from django.db.models import Q, QuerySet

from agents import rota
from agents.models import AlertTarget, Membership, Override, Schedule, Team, User, Whom
from agents.queries import on_call

Asked = tuple[str, int]  # a Whom, and the id of what it names


@dataclass(frozen=True)
class Way:
    """One target to write to, why, and what to take instead if it fails."""

    target: int
    why: str
    then: tuple[int, ...] = ()


@dataclass
class Ground:
    """What was read for a set of steps, within several projects."""

    people: dict[int, User] = field(default_factory=dict)
    members: set[tuple[int, int]] = field(default_factory=set)
    teams: dict[int, Team] = field(default_factory=dict)
    schedules: dict[int, Schedule] = field(default_factory=dict)
    ways: dict[tuple[int, int], list[int]] = field(default_factory=lambda: defaultdict(list))
    known: set[tuple[int, int]] = field(default_factory=set)
    channels: dict[int, list[AlertTarget]] = field(default_factory=lambda: defaultdict(list))


def read(projects: Iterable[int], asked: Iterable[Asked], now: dt.datetime) -> Ground:
    """People, teams, rotas and channels that the steps name, of the projects alone."""
    ids: dict[str, set[int]] = defaultdict(set)
    for whom, named_id in asked:
        ids[whom].add(named_id)
    projects, ground = list(projects), Ground()
    teams = Team.objects.filter(pk__in=ids[Whom.TEAM], project__in=projects).prefetch_related("members")
    ground.teams = {team.pk: team for team in teams}
    current = Override.objects.filter(ends_at__gt=now, starts_at__lte=now)
    schedules = Schedule.objects.filter(pk__in=ids[Whom.SCHEDULE], project__in=projects)
    ground.schedules = {one.pk: one for one in on_call.with_people(schedules, current)}
    people = set(ids[Whom.PERSON])
    people |= {user.pk for team in ground.teams.values() for user in team.members.all()}
    people |= {id for one in ground.schedules.values() if (id := rota.on_duty(as_rota(one), now)) is not None}
    ground.people = User.objects.in_bulk(people)
    of_projects = Membership.objects.filter(project__in=projects, user__in=people)
    ground.members = set(of_projects.values_list("project", "user"))
    of_these = Q(person=None, enabled=True) | Q(person__in=people)
    read_ways(ground, AlertTarget.objects.filter(of_these, project__in=projects))
    return ground


def read_ways(ground: Ground, targets: QuerySet[AlertTarget]) -> None:
    """Channels, and people's own ways, best first."""
    for target in targets.defer("secret").order_by("position", "pk"):
        if target.person_id is None:
            ground.channels[target.project_id].append(target)
            continue
        ground.known.add((target.project_id, target.person_id))
        if target.enabled:
            ground.ways[target.project_id, target.person_id].append(target.pk)


def without_way(ground: Ground, members: Iterable[tuple[int, int]]) -> list[tuple[int, User]]:
    """Of (project, person) those who may sign in, and have named no way to be reached."""
    found = dict.fromkeys(pair for pair in members if pair not in ground.known)
    people = ((project, ground.people.get(id)) for project, id in found)
    return [(project, user) for project, user in people if user is not None and user.is_active]


def people_of(ground: Ground, project: int, whom: str, id: int, now: dt.datetime) -> list[tuple[int, str]]:
    """The people that this names, each with why; nobody in a gap, nobody who left or was switched off."""
    found: list[tuple[int, str]] = []
    if whom == Whom.PERSON:
        found = [(id, "")]
    elif whom == Whom.TEAM and id in ground.teams:
        team = ground.teams[id]
        found = [(user.pk, f" of {team.name}") for user in team.members.all()]
    elif whom == Whom.SCHEDULE and id in ground.schedules:
        schedule = ground.schedules[id]
        duty = rota.on_duty(as_rota(schedule), now)
        found = [] if duty is None else [(duty, f", on duty in {schedule.name}")]
    return [(pk, f"{ground.people[pk]}{why}") for pk, why in found if _may_know(ground, project, pk)]


def _may_know(ground: Ground, project: int, person: int) -> bool:
    """An alert says what is wrong with whose agent: nobody reads it who may not look."""
    user = ground.people.get(person)
    if user is None or not user.is_active:
        return False
    return user.is_superuser or (project, person) in ground.members


def named(ground: Ground, whom: str, id: int) -> str:
    """What the step names, for a sentence about a gap."""
    if whom == Whom.SCHEDULE:
        return ground.schedules[id].name if id in ground.schedules else "a rota that was removed"
    if whom == Whom.TEAM:
        return ground.teams[id].name if id in ground.teams else "a team that was removed"
    return "a person who left" if whom == Whom.PERSON else "a channel that is off"


def as_rota(schedule: Schedule) -> rota.Rota:
    """The pure rule's view of it; turns and overrides are prefetched, inactive people are left out."""
    return rota.Rota(
        people=[turn.user_id for turn in schedule.turns.all() if turn.user.is_active],
        zone=ZoneInfo(schedule.zone),
        starts_on=schedule.starts_on,
        hand_over=schedule.hand_over,
        every_days=schedule.every_days,
        weekdays=schedule.weekdays,
        since=schedule.since,
        until=schedule.until,
        stands=[
            rota.Stand(one.user_id, one.starts_at, one.ends_at)
            for one in schedule.overrides.all()
            if one.user.is_active
        ],
    )
