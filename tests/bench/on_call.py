"""What being on call costs: `uv run python -m tests.bench.on_call`.

Bounds: of 10,000 open timers those that are due move within 5 s, in a number of queries that does not grow;
1,000 agents that pause for one cause make at most 20 messages a channel, and the fleet page takes ≤ 300 ms
meanwhile; from the pause to the channel p99 ≤ 2 s; the log takes 500 acts a second. The floors, in the same
run: one row inserted and committed, as often as acts are written; and the channel asked by a bare POST.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import urllib3

from dashboard.embedded.children import Child
from tests.bench import ground
from tests.domain import receivers
from tests.domain.receivers import Hook
from tests.waiting import slowness, until

TIMERS, AGENTS, ACTS, PAGES = 10_000, 1_000, 1_000, 200
WORKER = [sys.executable, "-m", "celery", "-A", "dashboard", "worker", "--without-gossip", "--without-mingle"]
HEAD = ("what", "count", "seconds", "a second", "queries")


def row(what: str, count: int, seconds: float, queries: int | str = "") -> tuple[Any, ...]:
    return (what, f"{count:,}", f"{seconds:.2f}", f"{count / seconds:,.0f}", queries)


def main() -> None:
    with ground.servers():
        rows: list[tuple[Any, ...]] = [HEAD]
        rows += timers()
        rows += storm()
        rows += acts()
        pages = handed_over()
        ground.table("On call", rows)
        ground.table("Milliseconds", pages)
    print(f"\n  this machine is {slowness():.1f} times as slow as a calm one now")
    print("  wanted: 10,000 timers within 5 s, at most 20 messages a channel, 500 acts a second,")
    print("  handed over p99 ≤ 2,000 ms, the fleet page ≤ 300 ms")


def timers() -> list[tuple[Any, ...]]:
    """Incidents that wait, each with its timer; all due in one moment, told to a rota and a team."""
    from django.db import connection, reset_queries
    from django.test.utils import override_settings
    from django.utils import timezone

    from agents.models import (
        Agent,
        Escalation,
        Incident,
        Membership,
        Outbox,
        Project,
        Schedule,
        Team,
        Turn,
        User,
    )
    from agents.services import escalating

    now = timezone.now()
    project, _ = Project.objects.get_or_create(name="timers")
    people = [User.objects.create_user(f"p{n}@example.com") for n in range(5)]
    Membership.objects.bulk_create(Membership(project=project, user=one, role="responder") for one in people)
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


def handed_over() -> list[tuple[Any, ...]]:
    """Incidents that open while 1,000 agents fall ill beside them: until a real receiver has the page."""
    from agents.models import AlertTarget, Escalation, Outbox, Project
    from agents.services import targets

    Outbox.objects.update(state=Outbox.State.SENT)  # what the timers wrote
    Escalation.objects.update(state=Escalation.State.ENDED)

    project, _ = Project.objects.get_or_create(name="paged")
    with receivers.web_server() as hook, running_worker():
        AlertTarget.objects.create(
            project=project, kind="webhook", label="x", address=hook.url,
            secret=targets.encrypt(targets.new_secret()),
        )  # fmt: skip
        until(lambda: opened_until_told(project, hook, "first"), 60, "the worker")
        calm = [opened_until_told(project, hook, f"calm-{n}") for n in range(PAGES)]
        with falling_ill():
            stormy = [opened_until_told(project, hook, f"storm-{n}") for n in range(PAGES)]
        floor = [bare_post(hook) for _ in range(PAGES)]
        fleet_page = fleet_during_a_storm()
    return [
        ("what", "p50", "p99", "most"),
        *(
            (what, *(ground.percentile(took, part) for part in (0.5, 0.99, 1.0)))
            for what, took in (
                ("from the pause to the channel", calm),
                ("the same in a storm", stormy),
                ("a bare POST to the channel (floor)", floor),
                (f"the fleet page of {AGENTS:,} in a storm", fleet_page),
            )
        ),
    ]


@contextlib.contextmanager
def running_worker() -> Iterator[None]:
    os.environ["SICKBAY_ALERT_ALLOW_CIDRS"] = "127.0.0.0/8"
    with tempfile.TemporaryDirectory() as directory:
        worker = Child("worker", WORKER, log=Path(directory) / "worker.log")
        worker.start()
        try:
            yield
        finally:
            worker.stop(5)


def opened_until_told(project: Any, hook: Hook, name: str) -> float:
    """An agent of its own cause pauses; milliseconds until the receiver was handed its page."""
    from django.db import transaction
    from django.utils import timezone

    from agents.models import Agent, Instance
    from agents.services import incidents

    instance = Instance.objects.create(agent=Agent.objects.create(project=project, name=name))
    began = time.perf_counter()
    with transaction.atomic():
        opened = incidents.open_or_join(
            agent=instance.agent, instances=[instance], cause="budget", title=name, group_id=None,
            now=timezone.now(),
        )  # fmt: skip
    mark = f'"incident":{opened.pk},'.encode()
    until(lambda: any(mark in post.body for post in hook.posts[-20:]), 60, name, every=0.002)
    return (time.perf_counter() - began) * 1000


@contextlib.contextmanager
def falling_ill() -> Iterator[None]:
    """The agents of the storm pause again and again beside what is measured, sixteen a second."""
    from django.db import close_old_connections, transaction
    from django.utils import timezone

    from agents.models import FailureGroup, Instance
    from agents.services import incidents

    is_over = threading.Event()

    def fall() -> None:
        group = FailureGroup.objects.get(project__name="storm")
        for worker in Instance.objects.filter(agent__project__name="storm").select_related("agent"):
            if is_over.wait(60 / AGENTS):
                break
            with transaction.atomic():
                incidents.open_or_join(
                    agent=worker.agent, instances=[worker], cause="budget", title="x", group_id=group.pk,
                    now=timezone.now() + dt.timedelta(hours=1),
                )  # fmt: skip
        close_old_connections()

    thread = threading.Thread(target=fall)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def bare_post(hook: Hook) -> float:
    began = time.perf_counter()
    urllib3.request("POST", hook.url, body=b"{}", retries=False)
    return (time.perf_counter() - began) * 1000


def fleet_during_a_storm() -> list[float]:
    """Through all middleware in this process, while the storm goes on in another thread of it."""
    from django.conf import settings

    from agents.models import Project
    from tests.bench.pages import signed_in

    settings.ALLOWED_HOSTS = ["localhost"]
    client, took = signed_in(Project.objects.get(name="storm")), []
    with falling_ill():
        for _ in range(PAGES // 2):
            began = time.perf_counter()
            assert client.get("/p/storm/").status_code == 200
            took.append((time.perf_counter() - began) * 1000)
    return took


if __name__ == "__main__":
    main()
