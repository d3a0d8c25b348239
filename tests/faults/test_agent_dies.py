"""The promises of the agent's side, with real processes of the SDK that are killed, cut off or stopped.

Where each promise of the SDK and the server is proven beside these:

    P1, P3, P4, P5, P7, P8, P9, P12, P17   test_promises.py, each under its number
    P2   test_what_was_recorded_survives_the_kill_of_the_agent; what is dropped is counted:
         sdk/tests/test_spool.py (over_the_limit…, a_full_disk…, drops_are_told…)
    P6   test_a_budget_pause_needs_no_server; sdk/tests/test_pause.py (a_kill_after…, …under_another_boot…)
    P14  test_a_stopped_agent_is_noticed_once; on time, after a gap and with two beats, time passed in:
         tests/domain/test_watchdog.py, tests/domain/test_at_once.py (two_beats…)
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import urllib3

from tests.faults.proxy import Proxy
from tests.faults.schedule import Schedule
from tests.product import Product, running_product
from tests.waiting import slowness, until

DRIVER = Path(__file__).with_name("agent_driver.py")
RECORDED = """
SELECT (e.body::jsonb->>'input')::bigint FROM agents_entry e JOIN agents_agent a ON a.id = e.agent_id
WHERE a.name = %s AND e.kind = 'action'
"""
SILENCES = """
SELECT count(*) FROM agents_entry e JOIN agents_agent a ON a.id = e.agent_id
WHERE a.name = %s AND e.kind = 'failure' AND e.outcome = 'silence'
"""
AGED = """
WITH aged AS (UPDATE agents_heartbeat SET last_seen = now() - interval '61 s')
UPDATE agents_presence SET since = now() - interval '5 min'
"""


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    with running_product() as product:
        yield product


class Desk:
    """An agent's processes, what they wrote to the ledger, and what the server knows of them."""

    def __init__(self, product: Product, name: str, folder: Path, url: str = "") -> None:
        self.name, self.ledger = name, folder / "ledger"
        self.ledger.touch()
        self.database = product.database_url()
        self.base, self.operator = product.url, {"Authorization": f"Bearer {product.token('operator')}"}
        self.env = {
            **os.environ,
            "SICKBAY_URL": url or product.url,
            "SICKBAY_TOKEN": product.token("agent"),
            "SICKBAY_HOME": str(folder / "home"),
        }

    @contextlib.contextmanager
    def running(self, what: str) -> Iterator[subprocess.Popen[bytes]]:
        """Killed at the end of the block, if it still lives."""
        command = [sys.executable, str(DRIVER), self.name, str(self.ledger), what]
        with subprocess.Popen(command, env=self.env, stderr=subprocess.DEVNULL) as process:
            try:
                yield process
            finally:
                process.kill()

    def runs(self, what: str) -> None:
        with self.running(what) as process:
            process.wait(60)

    def said(self, word: str) -> list[list[str]]:
        lines = [line.split() for line in self.ledger.read_text().splitlines()]
        return [line[1:] for line in lines if line[0] == word]

    def query(self, sql: str, *values: Any) -> list[Any]:
        with psycopg.connect(self.database) as connection:
            return connection.execute(sql, values).fetchall()

    def get(self, path: str) -> Any:
        return urllib3.request("GET", f"{self.base}/api/v1/{path}", headers=self.operator).json()

    def aged(self) -> str:
        """Its status, a minute after it was last heard; what was heard before the stop may still come in."""
        with psycopg.connect(self.database) as connection:
            connection.execute(AGED)
        return self.status()

    def status(self) -> str:
        return str(self.get(f"agents/{self.name}/").get("status"))

    def incidents(self) -> list[Any]:
        return [i for i in self.get("incidents/?state=open")["incidents"] if self.name in i["agents"]]


def desk_of(product: Product, name: str, base: Path) -> Desk:
    """A desk with a folder of its own."""
    (base / name).mkdir()
    return Desk(product, name, base / name)


def test_what_was_recorded_survives_the_kill_of_the_agent(
    product: Product, tmp_path: Path, schedule: Schedule
) -> None:
    """P2: whatever call had returned when kill -9 came stands in the server once, after the next start."""
    dice = schedule.dice("p2")
    for number in schedule.rounds(1, 12):  # three deaths each: more would pause the agent, as they should
        desk = desk_of(product, f"p2-{number}", tmp_path)
        for _ in range(3):
            more = len(desk.said("recorded")) + dice.randrange(50, 400)
            with desk.running("work"):
                until(lambda: len(desk.said("recorded")) > more, 30 * slowness(), "work")  # noqa: B023
        desk.runs("end")
        recorded = {int(place) for (place,) in desk.said("recorded")}
        stored = until(
            lambda: arrived(desk.query(RECORDED, desk.name), len(recorded)),  # noqa: B023
            20 * slowness(),
            "the rest",
        )
        assert len(stored) == len(set(stored)) and recorded <= set(stored)
        assert len(stored) - len(recorded) <= 3, "a call that was killed before it could say so, each time"


def arrived(rows: list[tuple[int]], enough: int) -> list[int]:
    return [number for (number,) in rows] if len(rows) >= enough else []


def test_a_budget_pause_needs_no_server(product: Product, tmp_path: Path, schedule: Schedule) -> None:
    """P6: cut off, the third failure pauses within 50 ms, no step follows, and a restart lifts nothing."""
    with Proxy(("127.0.0.1", product.port)) as proxy:
        desk = Desk(product, "p6", tmp_path, proxy.url)
        proxy.refuse = True
        desk.runs("break")
        for _ in (restarts := schedule.rounds(1, 20)):
            desk.runs("break")
        assert desk.said("did") == [["0"], ["1"], ["2"]]
        paused = desk.said("paused")
        assert [number for number, _ in paused] == [str(n) for n in range(2, 20)]
        assert float(paused[0][1]) <= 0.05 * slowness()
        assert (len(desk.said("began")), len(desk.said("refused"))) == (1, len(restarts))
        assert desk.incidents() == []
        proxy.refuse = False
        desk.runs("break")
        assert (len(desk.said("refused")), len(desk.said("did"))) == (len(restarts) + 1, 3)
        incident = until(desk.incidents, 10 * slowness(), "the incident")[0]
    assert incident["pauses"][0]["cause"] == "3 failures in a row, the limit is 3"
    assert desk.get("agents/p6/")["status"] == "paused"


def test_a_stopped_agent_is_noticed_once(product: Product, tmp_path: Path, schedule: Schedule) -> None:
    """P14: a process that stands still is silent, once, and heard again when it goes on.

    The minute that must pass is taken from the heartbeat; beat, worker and watchdog are the real ones.
    """
    for number in schedule.rounds(1, 4):  # a silence each: three of one agent would pause it, as they should
        desk = desk_of(product, f"p14-{number}", tmp_path)
        with desk.running("work") as process:
            until(lambda: desk.said("recorded"), 30 * slowness(), "work")  # noqa: B023
            until(lambda: desk.status() == "running", 30 * slowness(), "the agent to be shown")  # noqa: B023
            process.send_signal(signal.SIGSTOP)
            until(lambda: desk.aged() == "silent", 15 * slowness(), "the silence", every=1)  # noqa: B023
            assert [i["cause"] for i in desk.incidents()] == ["silence"]
            process.send_signal(signal.SIGCONT)
            until(lambda: desk.status() == "running", 15 * slowness(), "its voice")  # noqa: B023
            until(lambda: not desk.incidents(), 15 * slowness(), "the incident to close")  # noqa: B023
        assert desk.query(SILENCES, desk.name) == [(1,)]
