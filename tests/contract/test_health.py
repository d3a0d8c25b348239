"""`/healthz`, `/readyz`, `/readyz?all`: what is missing is named, and only what it needs says no."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import psycopg
import pytest
from django.test import Client

from dashboard import health
from dashboard.embedded.valkey import free_port
from tests.product import Served, database_url, running_daphne


@pytest.fixture(autouse=True)
def pulses() -> Iterator[None]:
    """Beat and worker have just been heard of."""
    for name in ("beat", "worker"):
        health.write_pulse(name, time.time())
    yield
    with health.valkey() as client:
        client.delete("sickbay:pulse:beat", "sickbay:pulse:worker")


def asked(served: Served, path: str = "/readyz") -> tuple[int, dict[str, object]]:
    status, body = served.get(path)
    answer: dict[str, object] = json.loads(body)
    return status, answer


def test_a_living_process_says_so(client: Client) -> None:
    """/healthz asks nobody: no database, no Valkey."""
    answer = client.get("/healthz")
    assert (answer.status_code, answer.content) == (200, b"ok\n")


@pytest.mark.django_db
def test_ready_when_all_is_there(client: Client) -> None:
    """With everything there, both say so."""
    for path in ("/readyz", "/readyz?all"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["degraded"]) == (200, [])


@pytest.mark.django_db
@pytest.mark.parametrize(("silent", "named"), [("beat", ["beat"]), ("worker", ["worker"])])
def test_a_dead_helper_is_named_and_does_no_harm(client: Client, silent: str, named: list[str]) -> None:
    """A beat or worker that is gone is named; the screen stays, and only the strict question says no."""
    health.write_pulse(silent, time.time() - health.PULSE_LASTS - 1)
    lenient, strict = client.get("/readyz"), client.get("/readyz?all")
    assert (lenient.status_code, lenient.json()["degraded"]) == (200, named)
    assert (strict.status_code, strict.json()["ready"]) == (503, False)


@pytest.mark.django_db
def test_the_worker_is_not_blamed_for_beat(client: Client) -> None:
    """The worker's pulse comes by way of beat, so without beat nothing is known of the worker."""
    with health.valkey() as valkey:
        valkey.delete("sickbay:pulse:beat", "sickbay:pulse:worker")
    assert client.get("/readyz").json()["degraded"] == ["beat"]


@pytest.mark.django_db
def test_only_get(client: Client) -> None:
    """A check changes nothing, so it cannot be posted."""
    assert client.post("/readyz").status_code == 405


def test_without_valkey_it_serves(django_db_setup: None) -> None:
    """Valkey is disposable: without it the process serves, and names it."""
    with running_daphne(env={"SICKBAY_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}) as daphne:
        status, answer = asked(daphne)
        assert (status, answer["degraded"]) == (200, ["valkey"])
        assert asked(daphne, "/readyz?all")[0] == 503


def test_without_a_database_it_lives_and_serves_nothing(django_db_setup: None) -> None:
    """Without its database a process lives, is not ready, and says so within seconds."""
    dead = f"postgresql://nobody:x@127.0.0.1:{free_port()}/none"
    with running_daphne(env={"SICKBAY_DATABASE_URL": dead}) as daphne:
        status, answer = asked(daphne)
        assert (status, answer["missing"]) == (503, ["database"])
        assert daphne.answers("/healthz")


def test_before_the_migrations_it_is_not_ready(django_db_setup: None) -> None:
    """An empty database is not the one that this code needs."""
    with psycopg.connect(database_url(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE unmigrated")
        try:
            with running_daphne(env={"SICKBAY_DATABASE_URL": database_url("unmigrated")}) as daphne:
                assert asked(daphne)[1]["missing"] == ["migrations"]
        finally:
            connection.execute("DROP DATABASE unmigrated WITH (FORCE)")
