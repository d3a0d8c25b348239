"""Plain builders of stored timelines: what the ingest writes, without the wire."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from agents.models import Agent, Entry, Instance, Kind, Project, Run

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def make_agent(project: Project, name: str = "refund-desk", **fields: Any) -> Agent:
    agent = Agent.objects.create(project=project, name=name, **fields)
    Instance.objects.create(agent=agent)
    return agent


def make_run(agent: Agent, **fields: Any) -> Run:
    instance = agent.instances.get(name="main")
    return Run.objects.create(instance=instance, **{"started_at": NOON, "epoch": 1} | fields)


def entry(agent: Agent, **fields: Any) -> Entry:
    """One entry, not yet stored; `body` may be a mapping."""
    run: UUID = fields.pop("run", None) or uuid4()
    seq = fields.pop("seq", 1)
    body = fields.pop("body", {})
    values = {
        "id": f"{run.hex}-{seq}", "at": NOON, "kind": Kind.ACTION, "name": "issue_refund", "outcome": "ok",
        "verdict": "pass", "title": "Refund 88.00 € for order 8836, as expected", "ref": "",
        "body": json.dumps(body) if isinstance(body, Mapping) else body,
    } | fields  # fmt: skip
    values.setdefault("received_at", values["at"])
    return Entry(project_id=agent.project_id, agent_id=agent.pk, run_id=run, seq=seq, **values)


def stored(agent: Agent, **fields: Any) -> Entry:
    return Entry.objects.bulk_create([entry(agent, **fields)])[0]


def stream(agent: Agent, n: int, *, run: UUID | None = None, step: timedelta = timedelta(seconds=7)) -> UUID:
    """`n` actions that end at noon, `step` apart; every tenth fails."""
    run = run or uuid4()
    rows = []
    for k in range(n):
        at = NOON - step * (n - k)
        rows.append(entry(agent, run=run, seq=2 * k + 1, at=at))
        if k % 10 == 9:
            rows[-1].outcome, rows[-1].verdict = "failed", "fail"
            rows.append(entry(agent, run=run, seq=2 * k + 2, at=at, kind=Kind.FAILURE, outcome="verification",
                              verdict="", title="Refund amount 40.00, expected 400.00"))  # fmt: skip
    Entry.objects.bulk_create(rows, batch_size=1000)
    return run
