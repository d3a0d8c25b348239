"""What is set up for on call in a project: rotas, teams, policies, and who may be named in them."""

from __future__ import annotations

import datetime as dt

from django.db.models import Prefetch, Q, QuerySet

from agents.models import EscalationPolicy, Override, Schedule, Team, Turn, User


def rotas(project_id: int, now: dt.datetime) -> list[Schedule]:
    """Each with its turns and the overrides that have not ended."""
    found = Schedule.objects.filter(project_id=project_id).order_by("name")
    return list(with_people(found, Override.objects.filter(ends_at__gt=now)))


def with_people(found: QuerySet[Schedule], overrides: QuerySet[Override]) -> QuerySet[Schedule]:
    """With their turns in order, and these overrides, the newest last."""
    turns = Prefetch("turns", Turn.objects.select_related("user").order_by("position"))
    standing_in = Prefetch("overrides", overrides.select_related("user").order_by("pk"))
    return found.prefetch_related(turns, standing_in)


def teams(project_id: int) -> list[Team]:
    members = Prefetch("members", User.objects.order_by("name", "email"))
    return list(Team.objects.filter(project_id=project_id).order_by("name").prefetch_related(members))


def policies(project_id: int) -> list[EscalationPolicy]:
    """The project's own first."""
    return list(EscalationPolicy.objects.filter(project_id=project_id).order_by("-is_default", "name"))


def people(project_id: int) -> QuerySet[User]:
    """Who may be named: members who may sign in, and the administrators of all projects."""
    named = Q(memberships__project_id=project_id) | Q(is_superuser=True)
    return User.objects.filter(named, is_active=True).order_by("name", "email").distinct()
