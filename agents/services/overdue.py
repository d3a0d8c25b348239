"""The watchdog's other rounds: jobs that did not start, agents that are blocked, decisions nobody took up."""

from __future__ import annotations

import datetime as dt

from django.db import transaction
from django.db.models import F, Q

from agents import announce
from agents.models import (
    Agent,
    Cause,
    Command,
    Entry,
    Incident,
    Instance,
    Kind,
    PauseState,
    Run,
    Status,
)
from agents.queries.incidents import UNDECIDED
from agents.services import accounts, alerts, blockages, entries, incidents, pauses
from sickbay import budget

DEFAULT_GRACE = 40.0
TAKEN_UP_WITHIN = dt.timedelta(minutes=10)
LATER_ON = (Command.Kind.RESUME, Command.Kind.STOP, Command.Kind.START, Command.Kind.ROLLBACK)
HELD = (Status.PAUSED, Status.PAUSING, Status.STOPPED)


def missed(now: dt.datetime) -> int:
    """Jobs (`every=`) whose start is overdue by more than their grace; and those that came after all."""
    _close_missed(now)
    due = Agent.objects.filter(every_s__isnull=False, due_at__lt=now).order_by("pk")
    return sum(_missed(agent, now) for agent in due)


def blocked(now: dt.datetime) -> int:
    """Instances with nothing but transient errors; and those that got through again."""
    maybe = Instance.objects.filter(Q(blocked_since__isnull=False) | Q(reported=Status.BLOCKED))
    fresh = maybe.filter(live=True).exclude(status__in=(*HELD, Status.SILENT)).order_by("pk")
    count = 0
    for instance in fresh:
        if blockages.is_blocked(instance, now):
            count += _blocked(instance.pk, now)
    _close_blocked(now)
    return count


def not_taken_up(now: dt.datetime) -> int:
    """Page once more for each decision that no process took up within ten minutes."""
    late = Command.objects.filter(
        kind__in=LATER_ON,
        state=Command.State.ORDERED,
        paged_again_at=None,
        ordered_at__lt=now - TAKEN_UP_WITHIN,
        decision__isnull=False,
        pause__state=PauseState.DECIDED,
    ).select_related("decision__incident__agent", "instance")
    count = 0
    for command in late.order_by("ordered_at")[:200]:
        count += _page_again(command, now)
    return count


@transaction.atomic
def _missed(agent: Agent, now: dt.datetime) -> bool:
    """The next due time is set by a conditional update, so that one beat of two counts; a long gap is one."""
    assert agent.every_s is not None and agent.due_at is not None
    grace = agent.grace_s if agent.grace_s is not None else DEFAULT_GRACE
    late = (now - agent.due_at).total_seconds()
    if late <= grace:
        return False
    instance = _first_instance(agent)
    following = agent.due_at + dt.timedelta(seconds=agent.every_s * (1 + late // agent.every_s))
    if not Agent.objects.filter(pk=agent.pk, due_at=agent.due_at).update(due_at=following):
        return False
    if instance is None or agent.status in HELD or agent.instances.filter(live=True).exists():
        return False
    id = f"missed-{agent.pk}-{int(agent.due_at.timestamp())}"
    accounts.add(instance, budget.Failure(id, "start", now.timestamp()), now)
    title = f"the start due at {agent.due_at:%H:%M:%S} UTC did not come"
    _entry(agent, instance, Kind.FAILURE, "start", "silence", title, id, now)
    waiting = Incident.objects.filter(agent=agent, cause=Cause.MISSED, state__in=UNDECIDED).first()
    if waiting is None:
        waiting = incidents.open_or_join(
            agent=agent,
            instances=[instance],
            cause=Cause.MISSED,
            title=f"{agent.name}: {title}",
            failure=id,
            now=now,
        )
    else:
        incidents.bump(waiting.pk)
    _hold_if_spent(agent, instance, waiting, now)
    announce.changed_agent(agent.pk, agent.project_id)
    return True


def _hold_if_spent(agent: Agent, instance: Instance, incident: Incident, now: dt.datetime) -> None:
    """Its next start would be refused for what it missed: better that a human knows, and decides, before."""
    limits = budget.Budget(max_consecutive=agent.max_consecutive, max_hourly=agent.max_hourly)
    why = accounts.spent(instance, limits, now)
    if why and pauses.holding(instance) is None:
        pauses.hold_absent(instance, incident, why, now)


def _close_missed(now: dt.datetime) -> None:
    for incident in Incident.objects.filter(cause=Cause.MISSED, state__in=UNDECIDED).select_related("agent"):
        if Run.objects.filter(
            instance__agent=incident.agent, epoch__isnull=False, started_at__gt=incident.opened_at
        ).exists():
            with transaction.atomic():
                sentence = f"{incident.agent.name} has started; the incident closed by itself"
                incidents.close_by_itself(incident, sentence, now)


@transaction.atomic
def _blocked(pk: int, now: dt.datetime) -> bool:
    """The incident is about the tool, and shared by the agents that wait for it."""
    instance = Instance.objects.select_for_update(of=("self",)).select_related("agent").get(pk=pk)
    if not blockages.is_blocked(instance, now) or instance.status in HELD:
        return False
    shown = pauses.show(instance, Status.BLOCKED, now)
    pauses.refresh_agent(instance.agent_id, now)
    if incidents.concerning(instance).filter(cause=Cause.BLOCKED).exists():
        return False
    tool = _last_action(instance) or blockages.UNKNOWN
    title = f"{tool}{blockages.NOTHING_ELSE}"
    incidents.open_or_join(
        agent=instance.agent, instances=[instance], cause=Cause.BLOCKED, title=title, now=now
    )
    _entry(instance.agent, instance, Kind.FAILURE, tool, "blocked", title, "", now)
    announce.changed_agent(instance.agent_id, instance.agent.project_id)
    return shown or True


def _close_blocked(now: dt.datetime) -> None:
    """Closed when every agent in it got through once; each is shown as it reports itself again."""
    _show_freed(now)
    waiting = Incident.objects.filter(cause=Cause.BLOCKED, state__in=UNDECIDED)
    for incident in waiting.select_related("agent"):
        still = Q(blocked_since__isnull=False) | Q(reported=Status.BLOCKED)
        if not incident.instances.filter(still).exists():
            with transaction.atomic():
                sentence = "it answers again; the incident closed by itself"
                incidents.close_by_itself(incident, sentence, now)


def _show_freed(now: dt.datetime) -> None:
    freed = Instance.objects.filter(status=Status.BLOCKED, blocked_since=None).exclude(
        reported=Status.BLOCKED
    )
    for pk in list(freed.order_by("pk").values_list("pk", flat=True)):
        with transaction.atomic():
            instance = Instance.objects.select_for_update(of=("self",)).select_related("agent").get(pk=pk)
            if instance.status == Status.BLOCKED and pauses.show(instance, instance.reported, now):
                pauses.refresh_agent(instance.agent_id, now)
                announce.changed_agent(instance.agent_id, instance.agent.project_id)


@transaction.atomic
def _page_again(command: Command, now: dt.datetime) -> bool:
    rows = Command.objects.filter(pk=command.pk, state=Command.State.ORDERED, paged_again_at=None)
    if not rows.update(paged_again_at=now) or command.decision is None:
        return False
    incident = command.decision.incident
    alerts.again(incident, str(command.pk), now)
    title = f"{command.kind} was decided at {command.ordered_at:%H:%M:%S} UTC and nobody has taken it up"
    _entry(incident.agent, command.instance, Kind.SIGNAL, command.kind, "late", title, str(incident.pk), now)
    announce.announce(f"incident-{incident.pk}", incident.version)
    announce.changed_agent(incident.agent_id, incident.project_id)
    return True


def _first_instance(agent: Agent) -> Instance | None:
    """The instance whose account a missed start goes to, locked."""
    rows = Instance.objects.select_for_update(of=("self",)).filter(agent=agent)
    return rows.order_by(F("epoch").desc(), "pk").first()


def _last_action(instance: Instance) -> str | None:
    recent = Entry.objects.filter(agent_id=instance.agent_id, kind=Kind.ACTION, instance_id=instance.pk)
    return recent.order_by("-at", "-id").values_list("name", flat=True).first()


def _entry(
    agent: Agent,
    instance: Instance,
    kind: str,
    name: str,
    outcome: str,
    title: str,
    ref: str,
    now: dt.datetime,
) -> None:
    entries.write(
        project_id=agent.project_id,
        agent_id=agent.pk,
        instance_id=instance.pk,
        at=now,
        kind=kind,
        name=name,
        outcome=outcome,
        title=title,
        ref=ref,
        body={"counted": outcome == "silence"},
        now=now,
    )
