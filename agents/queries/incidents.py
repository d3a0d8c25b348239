"""What the incident pages read: what waits for a human, and the evidence of one incident.

The evidence of an incident ends when it was settled: a page opened a month later shows the failures of
that night, not of today. Nothing here reads values it does not show; bodies are parsed by the context.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Count, Exists, F, Max, OuterRef, Prefetch, Q, QuerySet

from agents.models import (
    Command,
    Decision,
    Entry,
    Incident,
    IncidentState,
    Instance,
    Kind,
    Pause,
    PauseState,
    Project,
)
from agents.queries.fleet import workers

PAGE = 50
UNDECIDED = (IncidentState.OPEN, IncidentState.ACKNOWLEDGED)
HOUR = timedelta(hours=1)
SLACK = timedelta(seconds=5)
FAILURES_READ = 50
NEWS_READ = 8


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of incidents, how many there are, and how many of each kind."""

    incidents: list[Incident]
    total: int
    page: int

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // PAGE))


def waiting(project: Project) -> list[Incident]:
    """What waits for a human, longest first: not decided, or decided and not taken up for ten minutes."""
    return list(_with_agents(_waiting(project)).order_by("opened_at", "pk"))


def waiting_ids(project: Project) -> list[int]:
    """The same, by number only."""
    return list(_waiting(project).order_by("opened_at", "pk").values_list("pk", flat=True))


def unsettled(project: Project) -> list[Incident]:
    """Every incident that is not closed, with what it holds; `overdue` where nobody took up its decision."""
    found = project.incidents.exclude(state=IncidentState.CLOSED).annotate(overdue=Exists(_paged_again()))
    return list(_with_agents(found).order_by("opened_at", "pk"))


def waits(incident: Incident) -> bool:
    """Whether one of `unsettled` waits for a human; the same rule as `waiting`, without asking again."""
    overdue: bool = getattr(incident, "overdue", False)
    return incident.state in UNDECIDED or (incident.state == IncidentState.DECIDED and overdue)


def holding(project: Project, agent_id: int) -> Incident | None:
    """The incident that an agent waits for: one that holds it before one that only speaks of it.

    Of a shared one whose other agents are not done yet it may be free already.
    """
    mine = Pause.objects.filter(incident=OuterRef("pk"), instance__agent_id=agent_id)
    held = Exists(mine.filter(state__in=(PauseState.PAUSING, PauseState.PAUSED, PauseState.DECIDED)))
    about = Q(agent_id=agent_id) | Q(Exists(mine))
    found = project.incidents.exclude(state=IncidentState.CLOSED).filter(about).annotate(held=held)
    return found.order_by("-held", "opened_at", "pk").first()


def start_ordered(agent_id: int) -> datetime | None:
    """Since when a stopped agent may start again, while none of its processes has taken that up."""
    found = Command.objects.filter(
        instance__agent_id=agent_id, kind=Command.Kind.START, state=Command.State.ORDERED
    )
    return found.order_by("ordered_at").values_list("ordered_at", flat=True).first()


def counts(project: Project) -> dict[str, int]:
    """How many are open and how many closed."""
    closed = Q(state=IncidentState.CLOSED)
    found = project.incidents.aggregate(open=Count("pk", filter=~closed), closed=Count("pk", filter=closed))
    return {"open": found["open"], "closed": found["closed"]}


def listed(project: Project, *, state: str, text: str, page: int) -> Listed:
    """Open ones first, longest waiting first; then the closed, newest first."""
    found = project.incidents.all()
    if state == "open":
        found = found.exclude(state=IncidentState.CLOSED)
    elif state == "closed":
        found = found.filter(state=IncidentState.CLOSED)
    if text:
        found = found.filter(Q(agent__name__icontains=text) | Q(title__icontains=text))
    total = found.count()
    page = min(max(1, page), max(1, -(-total // PAGE)))
    ordered = (
        _with_agents(found)
        .prefetch_related("decisions")
        .order_by(F("closed_at").desc(nulls_first=True), "opened_at", "pk")
    )
    return Listed(list(ordered[(page - 1) * PAGE : page * PAGE]), total, page)


def one(project: Project, pk: int) -> Incident | None:
    """An incident with its agent, pauses, decisions and commands, or None."""
    decisions = Prefetch("decisions", Decision.objects.order_by("at", "pk"))
    commands = Prefetch("pauses__commands", Command.objects.order_by("version"))
    instances = Prefetch("instances", Instance.objects.select_related("agent", "heartbeat").order_by("pk"))
    found = _with_agents(project.incidents.filter(pk=pk))
    return found.prefetch_related(decisions, commands, instances).first()


def versions(project: Project, pk: int) -> tuple[int, int, str] | None:
    """What the incident's fragments are known by: its version, its agent's, and its state."""
    return project.incidents.filter(pk=pk).values_list("version", "agent__version", "state").first()


def account_since(instance_ids: Iterable[int], opened_at: datetime) -> datetime:
    """From when failures counted towards what was opened then: an hour, or the last resume before it."""
    resumed = Decision.objects.filter(
        pause__instance_id__in=list(instance_ids), at__lt=opened_at, verb__in=("resume", "start", "rollback")
    ).aggregate(last=Max("at"))["last"]
    hour_ago = opened_at - HOUR
    return max(hour_ago, resumed) if resumed else hour_ago


def failures(
    incident: Incident, instance_ids: Iterable[int], since: datetime, until: datetime
) -> list[Entry]:
    """The failures of these instances between two moments, oldest first."""
    theirs = Q(instance_id__in=list(instance_ids)) | Q(instance_id__isnull=True, agent_id=incident.agent_id)
    found = Entry.objects.filter(
        theirs,
        project_id=incident.project_id,
        agent_id__in=Instance.objects.filter(pk__in=list(instance_ids)).values("agent_id"),
        kind=Kind.FAILURE,
        at__gt=since,
        at__lte=until + SLACK,
    ).order_by("-at", "-id")
    return list(found[:FAILURES_READ])[::-1]


def news(incident: Incident, since: datetime) -> list[Entry]:
    """What happened to its agent since a moment, of what a decider is shown; oldest first."""
    told = (Kind.FAILURE, Kind.PAUSE, Kind.DECISION, Kind.COMMAND, Kind.RUN)
    found = Entry.objects.filter(
        agent_id=incident.agent_id, kind__in=told, received_at__gt=since, at__gt=since - HOUR
    )
    return list(found.order_by("at", "id")[:NEWS_READ])


def actions_of(failed: Iterable[Entry]) -> dict[str, Entry]:
    """The action of each failure, by the failure's id: the two were written next to each other."""
    places = {(f.run_id, f.seq - 1): f for f in failed if f.run_id and f.seq}
    runs: dict[UUID, list[int]] = {}
    for run, seq in places:
        runs.setdefault(run, []).append(seq)
    wanted = Q(pk__in=[])
    for run, seqs in runs.items():
        wanted |= Q(run_id=run, seq__in=seqs)
    if not places:
        return {}
    times = [f.at for f in places.values()]
    near = Entry.objects.filter(
        wanted, kind=Kind.ACTION, at__gte=min(times) - HOUR, at__lte=max(times) + SLACK
    )
    return {places[a.run_id, a.seq].id: a for a in near if a.run_id and a.seq is not None}


def last_action(agent_id: int, until: datetime) -> Entry | None:
    """What the agent did last before a moment."""
    found = Entry.objects.filter(
        agent_id=agent_id, kind=Kind.ACTION, at__lte=until + SLACK, at__gt=until - timedelta(days=1)
    )
    return found.order_by("-at", "-id").first()


def _waiting(project: Project) -> QuerySet[Incident]:
    overdue = Q(state=IncidentState.DECIDED) & Exists(_paged_again())
    return project.incidents.filter(Q(state__in=UNDECIDED) | overdue)


def _paged_again() -> QuerySet[Command]:
    """The commands of an incident that nobody took up, so that someone was told again."""
    return Command.objects.filter(
        decision__incident=OuterRef("pk"), state=Command.State.ORDERED, paged_again_at__isnull=False
    )


def _with_agents(found: QuerySet[Incident]) -> QuerySet[Incident]:
    """With all that a row shows, in a constant number of queries."""
    pauses = Pause.objects.select_related("instance__agent", "instance__heartbeat").order_by("at", "pk")
    return found.select_related(
        "project", "agent", "group", "acknowledged_by", "assigned_to"
    ).prefetch_related(workers("agent__instances"), Prefetch("pauses", pauses))
