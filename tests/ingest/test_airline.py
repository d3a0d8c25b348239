"""A hundred real runs through the SDK into the real product, with both ends killed on the way.

The agent hangs where the seeded schedule says, inside an action or between two, and is killed there; the
web server is killed at other places; a scripted operator resumes every pause. In the end the timeline must
hold the transcripts' calls once and in order, one crash for each kill that DESIGN counts, and pauses exactly
where the independent count of tests/ingest/airline.py says.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import urllib3

from tests.ingest import airline
from tests.product import Product, running_product
from tests.waiting import until

DRIVER = Path(__file__).with_name("airline_driver.py")
# With this seed the last two kills fall on probation, and pause an agent of which nothing runs yet.
SEED = 35
# The second death catches nothing and does not count; the third does, being the third in ten minutes.
WHERE = ["inside", "between", "between", "inside"]
WEB_KILLS = 3
# kind, name, outcome, which call it was, and of which vanished run a counted crash tells
TOLD = """
SELECT e.kind, e.name, e.outcome, (e.body::jsonb #>> '{input,call}')::int,
       CASE WHEN (e.body::jsonb->>'counted')::bool AND e.kind = 'run' THEN e.body::jsonb->>'run' END
FROM agents_entry e JOIN agents_run r ON r.id = e.run_id ORDER BY r.started_at, e.seq
"""
CRASHED = """
SELECT body::jsonb->>'run' FROM agents_entry WHERE kind = 'failure' AND outcome = 'crash' ORDER BY at
"""
Row = tuple[str, str, str, int | None, str | None]

pytestmark = pytest.mark.skipif(
    not airline.TRANSCRIPTS.exists() and os.environ.get("CI") != "true",
    reason=f"{airline.TRANSCRIPTS} is not here: set SICKBAY_SHARED",
)


class Operator:
    """Resumes whatever waits, by the public API."""

    def __init__(self, product: Product) -> None:
        self.base = f"{product.url}/api/v1"
        self.headers = {"Authorization": f"Bearer {product.token('operator')}"}
        self.http = urllib3.PoolManager(retries=False, timeout=5)
        self.resumed = 0

    def look(self) -> None:
        """Decide on every open incident; while the server is down there is nothing to see."""
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            answer = self.http.request("GET", f"{self.base}/incidents/?state=open", headers=self.headers)
            for incident in answer.json()["incidents"]:
                self.decide(incident)

    def decide(self, incident: dict[str, Any]) -> None:
        said = {"decision": "resume", "version": incident["version"], "reason": "try once more"}
        path = f"{self.base}/incidents/{incident['id']}/decide/"
        answer = self.http.request("POST", path, headers=self.headers, json=said)
        assert answer.status in (200, 409), answer.data
        self.resumed += answer.status == 200


class Agent:
    """The driver as a process of its own, restarted after each kill, and what it wrote to the ledger."""

    def __init__(self, product: Product, home: Path, calls: list[tuple[str, Any, str]]) -> None:
        self.ledger, self.calls = home / "ledger", home / "calls.json"
        home.mkdir()
        self.ledger.touch()
        self.calls.write_text(json.dumps(calls))
        self.env = {
            **os.environ,
            "SICKBAY_URL": product.url,
            "SICKBAY_TOKEN": product.token("agent"),
            "SICKBAY_HOME": str(home / "spool"),
        }

    @contextlib.contextmanager
    def running(self, hang_at: int = -1, where: str = "nowhere") -> Iterator[subprocess.Popen[bytes]]:
        """Killed at the end of the block, whatever it does then."""
        command = [sys.executable, str(DRIVER), str(self.calls), str(self.ledger), str(hang_at), where]
        with subprocess.Popen(command, env=self.env) as process:
            try:
                yield process
            finally:
                process.kill()

    def said(self) -> list[str]:
        return self.ledger.read_text().splitlines()


@pytest.fixture
def product() -> Iterator[Product]:
    with running_product() as product:
        yield product


def test_a_hundred_real_runs_survive_the_death_of_both_ends(product: Product, tmp_path: Path) -> None:
    """572 calls and 33 failures stand once and in order, with every crash and pause where the count says."""
    calls = airline.calls()
    operator, agent = Operator(product), Agent(product, tmp_path / "agent", calls)
    rng = random.Random(SEED)
    deaths = sorted(rng.sample(range(20, len(calls) - 20), len(WHERE)))
    web_deaths = sorted(rng.sample(range(len(calls)), WEB_KILLS))
    print(f"seed {SEED}: the agent dies at {deaths}, the web server at {web_deaths}")

    def go_on() -> list[str]:
        """What the operator and the killer of the web server do while the agent works; its ledger."""
        said = agent.said()
        if web_deaths and len(said) > web_deaths[0]:
            del web_deaths[0]
            product.kill("web")
        operator.look()
        return said

    for position, where in zip(deaths, WHERE, strict=True):
        with agent.running(position, where):
            until(lambda its=f"{where} {position}": its in go_on(), 60, f"call {position}")
    with agent.running() as last:
        until(lambda: go_on() and last.poll() is not None, 60, "the end of the transcripts")
        assert last.returncode == 0
    with psycopg.connect(product.database_url(), autocommit=True) as connection:
        rows = until(lambda: whole(connection), 30, "the last entries")
        crashed = connection.execute(CRASHED).fetchall()
    check(rows, calls)
    assert [run for (run,) in crashed] == [run for *_, run in rows if run]
    assert operator.resumed == sum(kind == "pause" for kind, *_ in rows)


def whole(connection: psycopg.Connection[Any]) -> list[Row]:
    """The agent's own entries in the order of its runs, once the last one has arrived."""
    rows = connection.execute(TOLD).fetchall()
    return rows if rows and rows[-1][:2] == ("run", "finished") else []


def check(rows: list[Row], calls: list[tuple[str, Any, str]]) -> None:
    """The calls once and in order; the crashes and the pauses that are due."""
    actions = [row for row in rows if row[0] == "action"]
    assert [call for *_, call, _ in actions] == list(range(len(calls))) and len(calls) == 572
    assert [row[1:3] for row in actions] == [
        (name, "failed" if answer.startswith("Error") else "ok") for name, _, answer in calls
    ]
    assert sum(kind == "failure" for kind, *_ in rows) == 33
    deaths = [run is not None for kind, name, _, _, run in rows if (kind, name) == ("run", "vanished")]
    assert deaths == airline.crashes_due(where == "inside" for where in WHERE)
    outcomes, paused = counted(rows)
    assert paused == airline.pauses_due(outcomes)


def counted(rows: list[Row]) -> tuple[list[tuple[str, bool]], list[int]]:
    """What the budget saw, in order, and after how many of them each pause stands."""
    outcomes: list[tuple[str, bool]] = []
    paused = []
    for kind, name, outcome, _, crashed in rows:
        if kind == "action" and outcome == "ok":
            outcomes.append((name, False))
        elif kind == "failure" or crashed:
            outcomes.append(("crash" if crashed else name, True))
        elif kind == "pause":
            paused.append(len(outcomes) - 1)
    return outcomes, paused
