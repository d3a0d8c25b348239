"""The on-call page: who is told in which order, who is on duty, and until when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from agents import access, rota
from agents.access import Actor
from agents.models import AlertTarget, EscalationPolicy, Override, Project, Schedule, Team, User, Whom
from agents.models.oncall import WHOLE_WEEK
from agents.queries import duty, on_call, targets
from agents.services.escalating import PLAIN, PLAIN_REPEATS

AHEAD = timedelta(days=60)
SHOWN = 5
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True)
class Shift:
    """A stretch of a rota; nobody is a gap."""

    who: User | None
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Rota:
    schedule: Schedule
    turns: str
    on_duty: Shift
    coming: list[Shift]
    gap_beyond: Shift | None
    stand_ins: list[Override]


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a policy: whom, and how long until the next one; `lost` when nobody is behind the name."""

    words: str
    lost: bool
    wait: str
    unreached: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    policy: EscalationPolicy
    steps: list[Step]
    holds: str
    quiet: str


def page(project: Project, actor: Actor, now: datetime) -> dict[str, Any]:
    rotas, teams = on_call.rotas(project.pk, now), on_call.teams(project.pk)
    people, policies = list(on_call.people(project.pk)), on_call.policies(project.pk)
    known = words(rotas, teams, people, targets.of_project(project.pk))
    behind = _behind(rotas, teams, people)
    lost = targets.unreached(project.pk, people, with_mail=bool(settings.EMAIL_HOST))
    return {
        "project": project,
        "now": now,
        "may_change": access.can(actor, "targets", project),
        "may_stand_in": access.can(actor, "acknowledge", project),
        "people": people,
        "rotas": [_rota(one, now) for one in rotas],
        "teams": teams,
        "policies": [_policy(one, known, behind, lost) for one in policies],
        "unreached": [user for user in lost if user.pk in _on_call(policies, behind, rotas, teams)],
        "has_default": any(one.is_default for one in policies),
        "plain": f"every channel is told at once, and again every {waits(PLAIN[0]['wait_s'])}, "
        f"{PLAIN_REPEATS} times",
        "topic": f"project-{project.pk}",
    }


def names(project: Project, now: datetime) -> dict[tuple[str, int], str]:
    """What a step of this project may name, in words."""
    pk = project.pk
    return words(on_call.rotas(pk, now), on_call.teams(pk), on_call.people(pk), targets.of_project(pk))


def words(
    rotas: Iterable[Schedule], teams: Iterable[Team], people: Iterable[User], channels: Iterable[AlertTarget]
) -> dict[tuple[str, int], str]:
    """Each of these as a step says it."""
    found: dict[tuple[str, int], str] = {(str(Whom.EVERYONE), 0): "every channel"}
    found |= {(str(Whom.SCHEDULE), one.pk): f"on duty in {one.name}" for one in rotas}
    found |= {(str(Whom.TEAM), one.pk): f"team {one.name}" for one in teams}
    found |= {(str(Whom.PERSON), one.pk): str(one) for one in people}
    found |= {(str(Whom.CHANNEL), one.pk): f"channel {one.label}" for one in channels}
    return found


def waits(seconds: float) -> str:
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    return f"{minutes} min" if not hours else f"{hours} h" + (f" {rest} min" if rest else "")


def _rota(schedule: Schedule, now: datetime) -> Rota:
    view = duty.as_rota(schedule)
    users = {turn.user_id: turn.user for turn in schedule.turns.all()}
    users |= {one.user_id: one.user for one in schedule.overrides.all()}
    found = [
        Shift(users.get(one.person or 0), one.starts_at, one.ends_at)
        for one in rota.shifts(view, now, now + AHEAD)
    ]
    gap = next((one for one in found[SHOWN + 1 :] if one.who is None), None)
    gap = None if any(one.who is None for one in found[: SHOWN + 1]) else gap
    stand_ins = sorted(schedule.overrides.all(), key=lambda one: one.starts_at)
    return Rota(schedule, _turns(schedule), found[0], found[1 : SHOWN + 1], gap, stand_ins)


def _turns(schedule: Schedule) -> str:
    """How its turns go, in words."""
    days = schedule.every_days
    said = "a week each" if days == 7 else "a day each" if days == 1 else f"{days} days each"
    said += f", handed over at {schedule.hand_over:%H:%M} {schedule.zone}"
    if schedule.weekdays != WHOLE_WEEK:
        said += "; " + " ".join(day for n, day in enumerate(DAYS) if schedule.weekdays >> n & 1)
    if schedule.since and schedule.until:
        said += f", {schedule.since:%H:%M} to {schedule.until:%H:%M}"
    return said


def _behind(rotas: list[Schedule], teams: list[Team], people: list[User]) -> dict[tuple[str, int], set[int]]:
    """The people that a step may reach by this name."""
    found = {(str(Whom.PERSON), one.pk): {one.pk} for one in people}
    found |= {(str(Whom.TEAM), one.pk): {user.pk for user in one.members.all()} for one in teams}
    found |= {(str(Whom.SCHEDULE), one.pk): {turn.user_id for turn in one.turns.all()} for one in rotas}
    for one in rotas:
        found[str(Whom.SCHEDULE), one.pk] |= {stand.user_id for stand in one.overrides.all()}
    return found


def _on_call(
    policies: list[EscalationPolicy],
    behind: dict[tuple[str, int], set[int]],
    rotas: list[Schedule],
    teams: list[Team],
) -> set[int]:
    """Everybody whom a policy, a rota or a team names."""
    names = {
        (str(one["kind"]), int(one["id"])) for row in policies for step in row.steps for one in step["tell"]
    }
    names |= {(str(Whom.SCHEDULE), one.pk) for one in rotas} | {(str(Whom.TEAM), one.pk) for one in teams}
    return {pk for name in names for pk in behind.get(name, set())}


def _policy(
    policy: EscalationPolicy,
    known: dict[tuple[str, int], str],
    behind: dict[tuple[str, int], set[int]],
    unreached: list[User],
) -> Policy:
    steps = []
    for step in policy.steps:
        pairs = [(str(one["kind"]), int(one["id"])) for one in step["tell"]]
        words = " and ".join(known.get(pair, "somebody who is gone") for pair in pairs)
        lost = any(pair not in known for pair in pairs)
        named = {pk for pair in pairs for pk in behind.get(pair, set())}
        nobody = ", ".join(str(user) for user in unreached if user.pk in named)
        steps.append(Step(words, lost, waits(step["wait_s"]) if step["wait_s"] else "", nobody))
    quiet = ""
    if policy.quiet_from and policy.quiet_until:
        quiet = f"{policy.quiet_from:%H:%M} to {policy.quiet_until:%H:%M} {policy.quiet_zone}"
    return Policy(policy, steps, waits(policy.seen_for_s), quiet)
