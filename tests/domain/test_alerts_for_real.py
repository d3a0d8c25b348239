"""Alerts of the whole product: a real worker hands them over in time, and a killed one loses none."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator

import psycopg
import pytest
import redis

from tests.domain import receivers
from tests.domain.receivers import Mailbox
from tests.product import Product, running_product
from tests.waiting import slowness, until

TARGET = """
INSERT INTO agents_alerttarget (project_id, kind, label, address, enabled, created_at)
SELECT id, 'email', 'on call', 'oncall@example.com', true, now() FROM agents_project WHERE name = 'main'
"""
DUE = """
INSERT INTO agents_outbox (target_id, about, key, state, due_at, attempts, created_at)
SELECT id, 'test', 'test-at-start', 'waiting', now(), 0, now() FROM agents_alerttarget
"""
MISSING = """
SELECT count(*) FROM agents_incident i WHERE NOT EXISTS (
    SELECT FROM agents_outbox o WHERE o.incident_id = i.id AND o.state = 'sent')
"""


@pytest.fixture(scope="module")
def mailbox() -> Iterator[Mailbox]:
    with receivers.mail_server() as mailbox:
        yield mailbox


@pytest.fixture(scope="module")
def product(mailbox: Mailbox) -> Iterator[Product]:
    with running_product(env={"SICKBAY_SMTP_URL": f"smtp://127.0.0.1:{mailbox.port}"}) as product:
        with psycopg.connect(product.database_url()) as connection:
            connection.execute(TARGET)
        yield product


@pytest.fixture(scope="module")
def token(product: Product) -> str:
    return product.token()


def pauses_itself(product: Product, token: str, agent: str) -> int:
    """A process registers with a pause that its own machine holds; the incident's id."""
    pause = {"id": str(uuid.uuid4()), "owner": "budget", "cause": "3 failures in a row, the limit is 3"}
    said = {
        "agent": agent,
        "process": uuid.uuid4().hex,
        "run": uuid.uuid4().hex,
        "started_at": time.time(),
        "sent_at": time.time(),
        "state": {"status": "paused", "pause": pause},
    }
    request = urllib.request.Request(
        f"{product.url}/api/v1/agents/register/",
        json.dumps(said).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: int = json.loads(answer.read())["pause"]["incident"]
    return found


def mailed(mailbox: Mailbox, incident: int) -> int:
    address = f"/incidents/{incident}/"
    return sum(address in str(m.get_payload(decode=True), "utf-8") for m in list(mailbox.messages))


def test_an_alert_is_handed_over_within_two_seconds(product: Product, token: str, mailbox: Mailbox) -> None:
    """From the agent's word to the mail server's: at most 2 s for each of thirty."""
    took = []
    for number in range(30):
        started = time.monotonic()
        incident = pauses_itself(product, token, f"agent-{number}")
        until(lambda incident=incident: mailed(mailbox, incident), 20, "the mail")
        took.append(time.monotonic() - started)
    assert max(took) <= 2.0, sorted(took)


def test_a_worker_that_comes_up_sends_what_is_due(product: Product, mailbox: Mailbox) -> None:
    """Nobody rings and no beat ticks: the start of the worker alone hands the waiting message over."""
    before = len(mailbox.messages)
    beat, worker = product.child("beat"), product.child("worker")
    assert beat is not None and worker is not None
    os.kill(beat, signal.SIGSTOP)
    try:
        with psycopg.connect(product.database_url()) as connection:
            connection.execute(DUE)
        product.kill("worker")
        noted = json.loads((product.data / "servers.json").read_text())
        with redis.Redis.from_url(noted["redis_url"]) as client:
            client.flushall()  # ticks from before the halt must not do the sweep's work
        until(lambda: len(mailbox.messages) > before, 20 * slowness(), "the message")
    finally:
        os.kill(beat, signal.SIGCONT)


def test_a_killed_worker_loses_no_alert(product: Product, token: str, mailbox: Mailbox) -> None:
    """P13: with the worker killed again and again, every incident is mailed, and hardly one twice."""
    stop = threading.Event()

    def killing() -> None:
        while not stop.wait(1.5):
            product.kill("worker")

    killer = threading.Thread(target=killing)
    killer.start()
    try:
        incidents = [pauses_itself(product, token, f"killed-{number}") for number in range(25)]
    finally:
        stop.set()
        killer.join()
    until(lambda: all(mailed(mailbox, incident) for incident in incidents), 90, "every mail")
    with psycopg.connect(product.database_url()) as connection:
        row = connection.execute(MISSING).fetchone()
    assert row == (0,)
    assert sum(mailed(mailbox, incident) for incident in incidents) <= 2 * len(incidents)
