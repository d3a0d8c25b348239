"""What being on call costs: `uv run python -m tests.bench.on_call`.

Bounds: of 10,000 open timers those that are due move within 5 s, in a number of queries that does not grow;
1,000 agents that pause for one cause make at most 20 messages a channel; the log takes 500 acts a second.
The floor, in the same run: one row inserted and committed, as often as acts are written.
"""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

from tests.bench import ground

TIMERS, AGENTS, ACTS = 10_000, 1_000, 1_000
HEAD = ("what", "count", "seconds", "a second", "queries")


def row(what: str, count: int, seconds: float, queries: int | str = "") -> tuple[Any, ...]:
    return (what, f"{count:,}", f"{seconds:.2f}", f"{count / seconds:,.0f}", queries)


def main() -> None:
    with ground.servers():
        rows: list[tuple[Any, ...]] = [HEAD]
        rows += timers()
        rows += storm()
        rows += acts()
        ground.table("On call", rows)
        print("\n  wanted: 10,000 timers within 5 s, at most 20 messages a channel, 500 acts a second")


def timers() -> list[tuple[Any, ...]]:
    """Incidents that wait, each with its timer; all due in one moment, told to a rota and a team."""
    from django.db import connection, reset_queries
    from django.test.utils import override_settings
    from django.utils import timezone

    from agents.models import Agent, Escalation, Incident, Outbox, Project, Schedule, Team, Turn, User
    from agents.services import escalating

    now = timezone.now()
    project, _ = Project.objects.get_or_create(name="timers")
    people = [User.objects.create_user(f"p{n}@example.com") for n in range(5)]
    schedule = Schedule.objects.create(
        project=project, name="rota", starts_on=now.date() - dt.timedelta(days=9)
    )
    Turn.objects.bulk_create(Turn(schedule=schedule, user=user, position=n) for n, user in enumerate(people))
    team = Team.objects.create(project=project, name="team")
    team.members.set(people)
    agent = Agent.objects.create(project=project, name="busy")
    incidents = Incident.objects.bulk_create(
        Incident(project=project, agent=agent, cause="budget", title="x", opened_at=now)
        for _ in range(TIMERS)
    )
    tell = [{"kind": "schedule", "id": schedule.pk}, {"kind": "team", "id": team.pk}]
    Escalation.objects.bulk_create(
        Escalation(
            incident=one, steps=[{"tell": tell, "wait_s": 300}], repeats=3, seen_for_s=1800, due_at=now
        )
        for one in incidents
    )
    with override_settings(DEBUG=True):
        reset_queries()
        began = time.perf_counter()
        moved = escalating.run_due(now)
        seconds = time.perf_counter() - began
        asked = len(connection.queries)
    assert moved == TIMERS and Outbox.objects.filter(target__project=project).count() == TIMERS * len(people)
    return [
        row("timers due at once", TIMERS, seconds, f"{asked / (TIMERS / escalating.AT_ONCE):.0f} a round")
    ]


def storm() -> list[tuple[Any, ...]]:
    """Agents that spend their budgets on the same failure, one after the other."""
    from django.db import transaction
    from django.utils import timezone

    from agents.models import Agent, AlertTarget, FailureGroup, Incident, Instance, Outbox, Project
    from agents.services import incidents

    project, _ = Project.objects.get_or_create(name="storm")
    AlertTarget.objects.create(project=project, kind="email", label="x", address="x@example.com")
    group = FailureGroup.objects.create(
        project=project, fingerprint="f" * 32, title="get_price: KeyError",
        first_seen=timezone.now(), last_seen=timezone.now(),
    )  # fmt: skip
    agents = [Agent.objects.create(project=project, name=f"a-{n}") for n in range(AGENTS)]
    workers = [Instance.objects.create(agent=agent) for agent in agents]
    began, at = time.perf_counter(), timezone.now()
    for n, worker in enumerate(workers):
        with transaction.atomic():
            incidents.open_or_join(
                agent=worker.agent, instances=[worker], cause="budget", title="get_price: KeyError",
                group_id=group.pk, now=at + dt.timedelta(seconds=60 * n / AGENTS),
            )  # fmt: skip
    seconds = time.perf_counter() - began
    found = Incident.objects.filter(project=project).count()
    messages = Outbox.objects.filter(target__project=project).count()
    assert found == 1 and messages <= 20, (found, messages)
    return [row(f"agents of one cause: {found} incident, {messages} message(s)", AGENTS, seconds)]


def acts() -> list[tuple[Any, ...]]:
    from django.db import connection, transaction
    from django.utils import timezone

    from agents.models import Project
    from agents.services import audit

    project = Project.objects.get(name="storm")
    began = time.perf_counter()
    for n in range(ACTS):
        with transaction.atomic():
            audit.record(
                project_id=project.pk, actor="alice@example.com", verb="pause", object=f"agent a-{n}",
                reason="looks wrong", saw={"version": n}, now=timezone.now(),
            )  # fmt: skip
    wrote = time.perf_counter() - began
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE floor (id bigserial PRIMARY KEY, said jsonb, digest bytea)")
        began = time.perf_counter()
        for _ in range(ACTS):
            cursor.execute("INSERT INTO floor (said, digest) VALUES ('{}', %s)", [bytes(32)])
        floor = time.perf_counter() - began
    return [row("acts written down", ACTS, wrote), row("rows inserted, nothing else (floor)", ACTS, floor)]


if __name__ == "__main__":
    main()
