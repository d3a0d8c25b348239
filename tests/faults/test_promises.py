"""The promises of a running product, each by its number, under kill -9 and a broker that comes and goes.

What was promised is written to a ledger outside the system (here: lists of this process); afterwards the
ledger is compared with the database. The laws of single transactions stand in tests/ingest and tests/domain.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import orjson
import psycopg
import pytest
import redis
import urllib3

from tests.builders import Wire, action, failure, pause, state
from tests.faults.schedule import Schedule
from tests.product import Product, running_product
from tests.waiting import slowness, until

BATCH = 200
VICTIMS = ("valkey", "web", "postgres")
EVENTS = 20_000


class Http:
    """A client for `Wire` that speaks to the product; who cannot be reached answers 0."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.pool = urllib3.PoolManager(retries=False, timeout=10, maxsize=50)

    def post(self, path: str, data: bytes, content_type: str, headers: dict[str, str]) -> Answer:
        return self.ask("POST", path, headers, body=data)

    def get(self, path: str, fields: dict[str, Any], headers: dict[str, str]) -> Answer:
        return self.ask("GET", path, headers, fields=fields)

    def ask(self, method: str, path: str, headers: dict[str, str], **more: Any) -> Answer:
        try:
            answer = self.pool.request(method, self.product.url + path, headers=headers, **more)
        except urllib3.exceptions.HTTPError:
            return Answer(0, b"{}")
        assert answer.status != 500, (path, answer.data)
        return Answer(answer.status, answer.data)


class Answer:
    def __init__(self, status: int, data: bytes) -> None:
        self.status_code, self.data = status, data

    def json(self) -> Any:
        return orjson.loads(self.data)


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    with running_product() as product:
        yield product


@pytest.fixture(scope="module")
def token(product: Product) -> str:
    return product.token("agent")


@pytest.fixture(scope="module")
def operator(product: Product) -> dict[str, str]:
    return {"Authorization": f"Bearer {product.token('operator')}"}


def wire(product: Product, token: str, name: str) -> Wire:
    speaking = Wire(token, agent=name, client=Http(product))
    until(lambda: speaking.register().status_code == 200, 30, "the registration")
    return speaking


def answered(answer: Any) -> Any:
    """What it says, if it is a success; None while a part of the product is away."""
    return answer.json() if answer.status_code == 200 else None


def ask(product: Product, headers: dict[str, str], method: str, path: str, **said: Any) -> Answer:
    return Http(product).ask(method, f"/api/v1/{path}", headers, **({"json": said} if said else {}))


def paused_incident(product: Product, speaking: Wire, operator: dict[str, str]) -> dict[str, Any]:
    """Three failures and the pause, as an SDK tells them; answers the incident."""
    said = pause()
    answer = speaking.post_events(
        *[failure(speaking.agent, consecutive=n) for n in (1, 2, 3)], state=state("paused", pause=said)
    )
    assert answer.status_code == 200
    found = ask(product, operator, "GET", "incidents/?state=open").json()["incidents"]
    mine: dict[str, Any] = next(i for i in found if speaking.agent in str(i["agents"]))
    return mine


def send(speaking: Wire, first: int) -> int:
    """One batch; the place that was acknowledged, or 0."""
    answer = speaking.post_events(*[action(title=f"{first + i}") for i in range(BATCH)], first=first)
    return int(answer.json()["ack"]) if answer.status_code == 200 else 0


def stored(product: Product, speaking: Wire) -> list[int]:
    """The run's places in the database, in order."""
    with psycopg.connect(product.database_url()) as connection:
        rows = connection.execute(
            "SELECT seq FROM agents_entry WHERE run_id = %s ORDER BY seq", [speaking.run]
        )
        return [row[0] for row in rows]


def test_p1_an_acknowledged_event_is_never_lost(product: Product, token: str, schedule: Schedule) -> None:
    """P1: 20,000 events while web, worker and Postgres are killed: what was acknowledged is there, once."""
    dice = schedule.dice("p1")
    for number in schedule.rounds(1, 5):
        speaking = wire(product, token, f"p1-{number}")
        victims = dice.sample(["web", "worker", "postgres", "web"], 4)
        kills = dict(zip(dice.sample(range(10, 90), 4), victims, strict=True))
        acked, slowest = 0, {"web": 0.0, "worker": 0.0, "postgres": 0.0}
        for batch in range(EVENTS // BATCH):
            began, victim = time.monotonic(), kills.get(batch)
            if victim:
                product.kill(victim)
            acked = until(lambda: send(speaking, acked + 1), 60, f"batch {batch}")  # noqa: B023
            if victim:
                slowest[victim] = max(slowest[victim], time.monotonic() - began)
        assert stored(product, speaking) == list(range(1, EVENTS + 1))
        assert slowest["web"] <= 5 * slowness() and slowest["postgres"] <= 10 * slowness(), slowest


def test_p3_a_repeat_is_safe_and_a_difference_is_named(
    product: Product, token: str, schedule: Schedule
) -> None:
    """P3: the same bytes, answered twice and after a kill, stand once; other bytes are a conflict."""
    dice = schedule.dice("p3")
    for number in schedule.rounds(1, 10):
        speaking = wire(product, token, f"p3-{number}")
        events, bent = [action(title=f"{n}") for n in range(dice.randrange(3, 30))], dice.randrange(3)
        many = len(events)
        assert speaking.post_events(*events).json()["stored"] == many
        product.kill(dice.choice(["web", "postgres"]) if schedule.is_long else "web")
        again = until(lambda: answered(speaking.post_events(*events)), 30, "the repeat")  # noqa: B023
        assert (again["ack"], again["stored"], again["duplicates"]) == (many, 0, many)
        bent_ones = [*events[:bent], action(title="another"), *events[bent + 1 :], action(title="new")]
        other = speaking.post_events(*bent_ones)
        assert (other.status_code, other.json()["conflicts"], other.json()["stored"]) == (409, [bent + 1], 1)


def test_p4_gaps_are_visible_and_late_events_arrive(product: Product, token: str) -> None:
    """P4: a batch that overtakes another is stored; the other is stored in its place, marked late."""
    speaking = wire(product, token, "p4")
    assert speaking.post_events(action(), action(), first=4).json()["ack"] == 5
    assert speaking.post_events(action(), action(), action()).json()["stored"] == 3
    with psycopg.connect(product.database_url()) as connection:
        rows = connection.execute(
            "SELECT seq, late FROM agents_entry WHERE run_id = %s ORDER BY seq", [speaking.run]
        )
        assert [tuple(row) for row in rows] == [(1, True), (2, True), (3, True), (4, False), (5, False)]


def test_p4_in_any_order_every_event_stands_in_its_place(
    product: Product, token: str, schedule: Schedule
) -> None:
    """P4: batches in any order, some of them twice: each event once; late is what came behind a later one."""
    dice = schedule.dice("p4")
    for number in schedule.rounds(3, 100):
        speaking = wire(product, token, f"p4-{number}")
        cuts = [0, *sorted(dice.sample(range(1, 60), 9)), 60]
        batches = [
            (first + 1, [action(title=f"{n}") for n in range(first, end)]) for first, end in pairwise(cuts)
        ]
        sent = dice.sample(batches, len(batches))
        sent += dice.sample(batches, 4)
        highest, late = 0, {}
        for first, events in sent:
            assert speaking.post_events(*events, first=first).json()["ack"] == first + len(events) - 1
            for seq in range(first, first + len(events)):
                late.setdefault(seq, first < highest)
            highest = max(highest, first + len(events) - 1)
        with psycopg.connect(product.database_url()) as connection:
            rows = connection.execute(
                "SELECT seq, late FROM agents_entry WHERE run_id = %s ORDER BY seq", [speaking.run]
            )
            assert [tuple(row) for row in rows] == sorted(late.items())


def test_p5_poison_blocks_nothing(product: Product, token: str, schedule: Schedule) -> None:
    """P5: the line that cannot be read is named, its neighbours stand, and so does what comes behind."""
    dice = schedule.dice("p5")
    for number in schedule.rounds(1, 50):
        speaking, place = wire(product, token, f"p5-{number}"), dice.randrange(1, 20)
        events: list[Any] = [action() for _ in range(20)]
        events[place - 1] = b'{"kind": "action", "name": "\\u0000", "at": NaN}'
        answer = speaking.post_events(*events)
        assert (answer.status_code, answer.json()["quarantined"], answer.json()["stored"]) == (
            200,
            [place],
            19,
        )
        assert speaking.post_events(action(), first=21).json()["ack"] == 21


def test_p7_silence_lifts_no_pause(
    product: Product, token: str, operator: dict[str, str], schedule: Schedule
) -> None:
    """P7: neither restarts of both ends, nor an emptied broker, nor a snapshot without it lift a pause."""
    speaking, dice = wire(product, token, "p7"), schedule.dice("p7")
    paused_incident(product, speaking, operator)
    for victim in [victim for _ in schedule.rounds(1, 6) for victim in dice.sample(VICTIMS, len(VICTIMS))]:
        product.kill(victim)
        until(lambda: product.answers("/readyz"), 30, "the product")
        reborn = Wire(token, agent="p7", client=Http(product))
        told = until(lambda: answered(reborn.register()), 30, "the registration")  # noqa: B023
        assert told["epoch"] is None and told["pause"], told
        status = ask(product, operator, "GET", "agents/p7/").json()["status"]
        assert status == "paused"


def test_p8_of_fifty_decisions_one_counts(
    product: Product, token: str, operator: dict[str, str], schedule: Schedule
) -> None:
    """P8: fifty people click at once: one decision is made, the others are told who won."""
    people = Http(product)
    with ThreadPoolExecutor(50) as hands:
        for number in schedule.rounds(1, 200):
            speaking = wire(product, token, f"p8-{number}")
            incident = paused_incident(product, speaking, operator)
            said = {"decision": "resume", "reason": "false alarm", "version": incident["version"]}
            path = f"/api/v1/incidents/{incident['id']}/decide/"
            clicks = [hands.submit(people.ask, "POST", path, operator, json=said) for _ in range(50)]
            answers = [click.result() for click in clicks]
            assert sorted(a.status_code for a in answers) == [200] + [409] * 49, number
            orders = speaking.commands(after=0).json()["commands"]
            assert [order["kind"] for order in orders] == ["resume"], number
            done = speaking.receipt(orders[0]["id"]), speaking.receipt(orders[0]["id"], "done")
            assert [answer.status_code for answer in done] == [200, 200]


def test_p9_a_stale_approval_cannot_act(product: Product, token: str, operator: dict[str, str]) -> None:
    """P9: a decision for a version that is no longer shown, or never was, is refused with what changed."""
    speaking = wire(product, token, "p9")
    incident = paused_incident(product, speaking, operator)
    speaking.post_events(failure("p9", consecutive=4), first=4)
    for version in (incident["version"], 0, 10**6):
        path = f"incidents/{incident['id']}/decide/"
        answer = ask(
            product, operator, "POST", path, decision="resume", version=version, reason="false alarm"
        )
        assert answer.status_code == 409, answer.data
    assert ask(product, operator, "GET", "agents/p9/").json()["status"] == "paused"


def test_p12_the_older_epoch_moves_nothing(
    product: Product, token: str, operator: dict[str, str], schedule: Schedule
) -> None:
    """P12: once a newer process has started, the older one's events arrive late and its state does not."""
    dice, processes = schedule.dice("p12"), [wire(product, token, "p12")]
    for number in schedule.rounds(1, 60):
        processes.append(wire(product, token, "p12"))
        newer, older = processes[-1], processes[dice.randrange(len(processes) - 1)]
        events = {"first": 1 + 2 * number, "state": state("paused", pause=pause())}
        answer = older.post_events(action(), **events).json()
        assert answer["fenced"] and answer["stored"] == 1, number
        assert ask(product, operator, "GET", "agents/p12/").json()["status"] == "running"
        assert newer.post_events(action()).json()["fenced"] is False, number


def flushed(product: Product) -> bool:
    """Emptied; not while it is away."""
    url = json.loads((product.data / "servers.json").read_text())["redis_url"]
    with redis.Redis.from_url(url) as client, contextlib.suppress(redis.ConnectionError):
        return bool(client.flushall())
    return False


def test_p17_valkey_is_disposable(
    product: Product, token: str, operator: dict[str, str], schedule: Schedule
) -> None:
    """P17: flushed, killed or hung, nothing is lost, ingest goes on, and orders come within ten seconds."""
    speaking, dice = wire(product, token, "p17"), schedule.dice("p17")
    place, faults = 0, [0, signal.SIGKILL, signal.SIGSTOP]
    for fault in [fault for _ in schedule.rounds(1, 6) for fault in dice.sample(faults, 3)]:
        pid = product.kill("valkey", fault)
        if not fault:
            until(lambda: flushed(product), 20, "valkey")
        for _ in range(5):
            place = until(lambda: send(speaking, place + 1), 20, "an acknowledgement")  # noqa: B023
        if fault == signal.SIGSTOP:
            os.kill(pid, signal.SIGCONT)
    assert stored(product, speaking) == list(range(1, place + 1))
    said = ask(product, operator, "POST", "agents/p17/pause/", reason="look at this")
    assert said.status_code == 200, said.data
    orders = until(
        lambda: speaking.commands(after=0, wait=5).json().get("commands"), 10 * slowness(), "the order"
    )
    assert [order["kind"] for order in orders] == ["pause"]
