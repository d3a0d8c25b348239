"""The story that the pages are looked at with: refund-desk paused at 02:51, and a fleet around it.

Everything is built through the services where they exist and as rows where the wire would have written
them, relative to a `now` that is passed in.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from agents.models import (
    Agent,
    Cause,
    Effect,
    Entry,
    FailureGroup,
    Heartbeat,
    Incident,
    Instance,
    Pause,
    Project,
    Run,
    Status,
)
from agents.services import incidents
from sickbay import budget
from tests.pages.rows import entry

MINUTE = timedelta(minutes=1)
DOING = ["score_lead", "read_page 14 of 62", "Waits for the next order"]
STATUSES = [Status.RUNNING] * 7 + [Status.IDLE, Status.HEALING, Status.PROBATION]


def account(ages: list[float], streak: int, now: datetime, name: str = "issue_refund") -> dict[str, Any]:
    """An account as the agent's snapshot leaves it: failures of these ages, the last `streak` in a row."""
    at = now.timestamp()
    spent = budget.Account()
    for n, age in enumerate(sorted(ages, reverse=True)):
        spent = budget.fail(spent, budget.Failure(f"{'0' * 32}-{n}", name, at - age))
    wire = budget.dump(spent, at) | {"streak": [name] * streak}
    return {"wire": wire, "at": at, "added": []}


def bars(seed: int, *, quiet: bool = False, failed: tuple[int, ...] = ()) -> str:
    ok = [0 if quiet else (seed * 7 + minute * minute * 3) % 9 for minute in range(60)]
    return json.dumps([[count, 1 if minute in failed else 0] for minute, count in enumerate(ok)])


def make_worker(project: Project, name: str, status: str, now: datetime, **more: Any) -> Instance:
    """An agent with one instance that was heard two seconds ago."""
    fields = {"about": f"What {name} does", "owner": "payments"} | more.pop("agent", {})
    since = more.pop("since", now - 4 * MINUTE)
    spent = more.pop("account", account([], 0, now))
    agent = Agent.objects.create(
        project=project, name=name, status=status, status_since=since,
        bars=more.pop("bars", bars(len(name))), bars_until=now.replace(second=0, microsecond=0),
        unattended_since=now - more.pop("alone", 9 * 1440 * MINUTE), **fields,
    )  # fmt: skip
    instance = Instance.objects.create(
        agent=agent, status=status, reported=status, status_since=since, account=spent,
        consecutive=len(spent["wire"]["streak"]), hourly=len(spent["wire"]["hour"]),
        **{"live": True, "host": "web-3", "pid": 812} | more,
    )  # fmt: skip
    Heartbeat.objects.create(instance=instance, last_seen=now - timedelta(seconds=2))
    return instance


@dataclass
class Paused:
    instance: Instance
    incident: Incident
    pause: Pause


def make_paused(project: Project, now: datetime, name: str = "refund-desk", **more: Any) -> Paused:
    """An agent that three failed refunds paused four minutes ago, with all that its page shows."""
    said = {
        "about": "Refunds up to 500 € for web-shop orders", "runbook": "https://wiki.example.com/refund-desk",
        "while_paused": "11 refunds wait, fine until 06:51 UTC", "heal": False,
    } | more.pop("agent", {})  # fmt: skip
    spent = account([3100, 2800, 2300, 700, 480, 240], 3, now)
    instance = make_worker(
        project, name, Status.PAUSED, now, agent=said, account=spent,
        bars=bars(4, failed=(8, 14, 22, 48, 52, 56)), **more,
    )  # fmt: skip
    opened = now - 4 * MINUTE
    group = FailureGroup.objects.create(
        project=project, fingerprint=uuid.uuid4().hex, action="issue_refund",
        title="Refund differs from the order", failures=7,
        first_seen=now - timedelta(days=8, hours=17), last_seen=opened,
    )  # fmt: skip
    failed = _refunds(instance, group, now)
    with transaction.atomic():
        incident = incidents.open_or_join(
            agent=instance.agent, instances=[instance], cause=Cause.BUDGET, title=group.title, now=opened,
            group_id=group.pk, failure=failed,
        )  # fmt: skip
    pause = Pause.objects.create(
        incident=incident, instance=instance, owner="budget", at=opened,
        cause="3 failures in a row, the limit is 3",
    )  # fmt: skip
    return Paused(instance, incident, pause)


def _refunds(instance: Instance, group: FailureGroup, now: datetime) -> str:
    """Six failed refunds: three older ones that count for the hour, then three in a row."""
    run = Run.objects.create(instance=instance, epoch=1, started_at=now - timedelta(days=11))
    told = [(3100, 1), (2800, 1), (2300, 1), (700, 1), (480, 2), (240, 3)]
    amounts = ["88.00", "20.10", "310.00", "120.00", "65.50", "400.00"]
    rows = []
    for n, ((age, row), amount) in enumerate(zip(told, amounts, strict=True)):
        at, order, seq = now - timedelta(seconds=age), 8838 + n, 10 * n + 1
        wrong = f"{float(amount) / 10:.2f} €"
        same = {"run": run.id, "at": at, "group_id": group.pk, "instance_id": instance.pk}
        rows.append(entry(
            instance.agent, **same, seq=seq, outcome="failed", verdict="fail",
            body={"input": {"order": order, "amount": amount}, "took_ms": 1300, "external": True},
        ))  # fmt: skip
        rows.append(entry(
            instance.agent, **same, seq=seq + 1, kind="failure", outcome="verification", verdict="",
            title=f"issue_refund: not as expected: {wrong} is a tenth",
            body={"expected": f"{amount} €", "actual": wrong, "consecutive": row, "hourly": n + 1,
                  "why": f"a refund of the same amount as order {order}"},
        ))  # fmt: skip
        if row > 0 and age <= 700:
            Effect.objects.create(
                id=f"{run.id.hex}-{seq}", instance=instance, run_id=run.id, name="issue_refund",
                key=f"refund:{order}", input=json.dumps({"order": order, "amount": wrong}), state="done",
                begun_at=at - timedelta(seconds=1), ended_at=at,
            )  # fmt: skip
    Entry.objects.bulk_create(rows)
    return rows[-1].id


def make_fleet(project: Project, now: datetime, size: int = 47) -> Paused:
    """refund-desk and what runs beside it."""
    paused = make_paused(project, now)
    silent = make_worker(
        project, "ledger-sync", Status.SILENT, now, since=now - 17 * MINUTE, live=False,
        gone_since=now - 17 * MINUTE, doing="post_entry 5512",
    )  # fmt: skip
    with transaction.atomic():
        incidents.open_or_join(
            agent=silent.agent, instances=[silent], cause=Cause.SILENCE,
            title="Not heard for 60 s: post_entry 5512 was in flight", now=now - 17 * MINUTE,
        )  # fmt: skip
    for n in range(size - 2):
        status = STATUSES[n % len(STATUSES)]
        spent = account([900, 100], 2, now) if status == Status.HEALING else account([1500] * (n % 3), 0, now)
        if status == Status.PROBATION:
            spent["wire"]["probation"] = {"actions": 4, "seconds": 900.0}
        make_worker(
            project, f"worker-{n:03}", status, now, alone=timedelta(hours=37 * (n + 1)), account=spent,
            bars=bars(n, quiet=status == Status.IDLE, failed=(n % 60,) if n % 4 == 0 else ()),
            doing="" if status == Status.IDLE else DOING[n % 3],
        )  # fmt: skip
    return paused
