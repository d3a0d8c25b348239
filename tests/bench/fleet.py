"""What the fleet page costs the server with 1,000 agents: `uv run python -m tests.bench.fleet`.

Bounds: a page of 100 rows ≤ 100 ms, one changed row ≤ 15 ms, the number of queries constant. Requests
go through all middleware in this process, without a network; the cache of fragments is off, and the row was
changed before it is asked for. CPU is this process's alone: on a busy machine the wall clock measures the
others. The floor, in the same run: the page's own queries, sent as they are and their rows thrown away.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from tests.bench import ground
from tests.waiting import slowness

AGENTS = 1_000
HEAD = ("what", "agents", "least ms", "p50 ms", "p99 ms", "CPU p50 ms", "queries", "queries alone ms")
TIMES = 40


def milliseconds(
    call: Callable[[], object], before: Callable[[], object] = lambda: None
) -> tuple[list[float], list[float]]:
    """By the wall and of CPU, of so many calls."""
    wall, cpu = [], []
    for number in range(TIMES + 5):
        before()
        began, spent = time.perf_counter(), time.process_time()
        call()
        if number >= 5:
            wall.append((time.perf_counter() - began) * 1000)
            cpu.append((time.process_time() - spent) * 1000)
    return wall, cpu


def fill(project: Any, count: int) -> None:
    """Agents as they are in the morning: most run, some wait for a human."""
    from django.utils import timezone

    from agents.models import Status
    from tests.pages import story

    now = timezone.now()
    kinds = [Status.RUNNING] * 16 + [Status.IDLE] * 2 + [Status.HEALING, Status.PROBATION]
    for number in range(count - 20):
        ages = [60.0 * n for n in range(number % 3)]
        story.make_worker(
            project, f"worker-{number:04}", kinds[number % len(kinds)], now, bars=story.bars(number),
            account=story.account(ages, 0, now), doing=story.DOING[number % 3],
        )  # fmt: skip
    for number in range(20):
        story.make_paused(project, now, name=f"held-{number:02}")


def queries(ask: Callable[[], object]) -> list[str]:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as caught:
        ask()
    return [one["sql"] for one in caught.captured_queries]


def bare(statements: list[str]) -> float:
    """The same statements, sent by themselves."""
    from django.db import connection

    def send() -> None:
        with connection.cursor() as cursor:
            for sql in statements:
                cursor.execute(sql.replace("%", "%%"))
                cursor.fetchall()

    reads = [sql for sql in statements if sql.startswith("SELECT")]
    statements[:] = reads
    return statistics.median(milliseconds(send)[0])


def measure() -> None:
    from django.db import connection, transaction
    from django.test import Client

    from agents import announce
    from agents.models import Agent, Membership, Role, User
    from tests.builders import make_project

    rows: list[tuple[Any, ...]] = [HEAD]
    for count in (AGENTS // 10, AGENTS):
        project = make_project(f"bench-{count}")
        fill(project, count)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        user = User.objects.create_user(f"{count}@example.com", "a long enough one", name="Alice")
        Membership.objects.create(project=project, user=user, role=Role.OPERATOR)
        client = Client(SERVER_NAME="localhost")
        client.force_login(user)
        agent = Agent.objects.get(project=project, name="held-07")

        def change(agent: Agent = agent) -> None:
            with transaction.atomic():
                announce.changed_agent(agent.pk, agent.project_id)

        for what, path, before in [
            ("fleet page", f"/p/{project.name}/", change),
            ("its table", f"/p/{project.name}/fleet/agents/", change),
            ("one changed row", f"/p/{project.name}/fleet/agents/{agent.pk}/", change),
        ]:

            def ask(client: Client = client, path: str = path) -> None:
                answer = client.get(path)
                assert answer.status_code == 200, answer.status_code

            wall, cpu = milliseconds(ask, before)
            change()
            sent = queries(ask)
            walls = [ground.percentile(wall, part) for part in (0.0, 0.5, 0.99)]
            rows.append((what, count, *walls, statistics.median(cpu), len(sent), bare(sent)))
    ground.table("The fleet, server time", rows)
    print(f"\n  this machine is {slowness():.1f} times as slow as a calm one now")
    print("  wanted: the page ≤ 100 ms, one changed row ≤ 15 ms, queries the same for both sizes")


def main() -> None:
    with ground.servers():
        from django.conf import settings

        from dashboard import fragments

        settings.ALLOWED_HOSTS, fragments.KEPT_S = ["localhost"], 0
        measure()


if __name__ == "__main__":
    main()
