"""What the fleet page reads: the agents of a project, what needs a human first.

A page costs the same number of queries whether it shows ten agents or a hundred: one for the counts, one
for the agents, one for their instances with heartbeats, one for the incidents they wait in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import (
    Case,
    Count,
    Exists,
    F,
    IntegerField,
    OuterRef,
    Prefetch,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce

from agents.models import Agent, Instance, Project, Status

PAGE = 100
WAITING = (Status.RESTORING, Status.PAUSING, Status.PAUSED, Status.STOPPED, Status.BLOCKED, Status.SILENT)
SORTS = {
    "human": "needs a human first",
    "name": "name",
    "failures": "failures this hour",
    "unattended": "longest unattended",
}


@dataclass(frozen=True, slots=True)
class Filter:
    """What a reader asked to see; everything in it stands in the address."""

    status: str = ""
    text: str = ""
    sort: str = "human"
    page: int = 1


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of agents, and how many there are in all."""

    agents: list[Agent]
    total: int
    page: int

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // PAGE))


def counts(project: Project) -> dict[str, int]:
    """Agents by status, highest first, only those that occur."""
    found = dict(project.agents.values_list("status").annotate(n=Count("pk")).order_by())
    return {status: found[status] for status in Status.values if status in found}


def listed(project: Project, asked: Filter, by_status: dict[str, int]) -> Listed:
    """The page asked for; one beyond the last is the last. `by_status` is what `counts` said."""
    found = _found(project, asked)
    total = by_status.get(asked.status, 0) if asked.status else sum(by_status.values())
    total = found.count() if asked.text else total
    page = min(max(1, asked.page), max(1, -(-total // PAGE)))
    ordered = found.order_by(*_order(asked.sort))
    return Listed(list(with_workers(ordered)[(page - 1) * PAGE : page * PAGE]), total, page)


def order(project: Project, asked: Filter) -> list[tuple[int, str]]:
    """Who stands on a page, in order, and with what status: what a change of the list is known by."""
    found = _found(project, asked).order_by(*_order(asked.sort)).values_list("pk", "status")
    return list(found[(asked.page - 1) * PAGE : asked.page * PAGE])


def one(project: Project, pk: int) -> Agent | None:
    """An agent of the project with its instances, or None."""
    return with_workers(project.agents.filter(pk=pk)).first()


def named(project: Project, names: list[str]) -> list[Agent]:
    """The agents of these names, with their instances; names that are not here are left out."""
    wanted = [name for name in names[:1_000] if "\x00" not in name]
    return list(with_workers(project.agents.filter(name__in=wanted).order_by("name")))


def version(project: Project, pk: int) -> tuple[int, datetime | None] | None:
    """What a row is known by: the agent's version and its last closed minute."""
    return project.agents.filter(pk=pk).values_list("version", "bars_until").first()


def longest_unattended(project: Project) -> tuple[int, Agent | None]:
    """How many agents live and run with nobody needed, and which for longest."""
    living = Instance.objects.filter(agent=OuterRef("pk"), live=True)
    free = project.agents.exclude(status__in=WAITING).filter(Exists(living))
    return free.count(), free.order_by("unattended_since", "pk").first()


def _found(project: Project, asked: Filter) -> QuerySet[Agent]:
    found = project.agents.all()
    if asked.status:
        found = found.filter(status=asked.status)
    return found.filter(name__icontains=asked.text) if asked.text else found


def _order(sort: str) -> list[str | Combinable]:
    if sort == "name":
        return [F("name")]
    if sort == "failures":
        fullest = Instance.objects.filter(agent=OuterRef("pk")).order_by("-hourly").values("hourly")[:1]
        return [Coalesce(Subquery(fullest), 0).desc(), F("name")]
    if sort == "unattended":
        return [_rank_of_waiting(), F("unattended_since"), F("name")]
    waits = Case(When(status__in=WAITING, then=F("status_since")), default=None)
    return [_rank(), waits, F("name")]


def _rank() -> Case:
    """The highest status first; running agents by name, waiting ones by how long."""
    ranks = [When(status=status, then=Value(n)) for n, status in enumerate(Status.values)]
    return Case(*ranks, output_field=IntegerField())


def _rank_of_waiting() -> Case:
    return Case(When(status__in=WAITING, then=Value(1)), default=Value(0), output_field=IntegerField())


def workers(path: str = "instances") -> Prefetch[str, QuerySet[Instance], str]:
    """As a plain list: behind the manager Django makes a query for each agent, and never asks it."""
    return Prefetch(path, Instance.objects.select_related("heartbeat").order_by("name"), to_attr="workers")


def with_workers(found: QuerySet[Agent]) -> QuerySet[Agent]:
    return found.prefetch_related(workers())
