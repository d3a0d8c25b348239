"""`manage.py up`: ready in time, keeps its children, refuses a second, ends in order, without orphans."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta

import psutil
import psycopg
import pytest
from django.conf import settings

from dashboard.management.asking import typist
from tests.product import MANAGE, OWN_SERVERS, Product, database_url, running_product
from tests.waiting import slowness, until

CHILDREN = ("web", "worker", "beat", "postgres", "valkey")


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    with running_product() as product:
        yield product


def strictly_ready(product: Product) -> bool:
    return product.answers("/readyz?all")


def up_again(product: Product, *options: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **OWN_SERVERS}
    return subprocess.run([*MANAGE, "up", *options], env=env, capture_output=True, text=True, timeout=20)


def test_ready_in_time(product: Product) -> None:
    """From nothing to ready takes at most 20 s, with a link for the first administrator and no account."""
    assert product.ready_after() <= 20 * slowness()
    assert product.sign_in_link().startswith(product.url)
    until(lambda: strictly_ready(product), 60, "worker and beat")


def test_data_is_closed_to_others(product: Product) -> None:
    """What holds secrets or a socket can be read by its owner alone."""
    for name in ("servers.json", "secret.key", "postgres.password", "up.lock"):
        assert stat.S_IMODE((product.data / name).stat().st_mode) == 0o600, name
    for name in ("postgres", "valkey", "log"):
        assert stat.S_IMODE((product.data / name).stat().st_mode) == 0o700, name


def test_postgres_asks_for_the_password(product: Product) -> None:
    """Who reaches the socket is still asked who they are."""
    url = product.database_url()
    psycopg.connect(url).close()
    password = (product.data / "postgres.password").read_text()
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(url.replace(password, "guess"))


def test_other_commands_find_the_servers(product: Product) -> None:
    """`token --data` prints one token and nothing else; an unknown project is named."""
    assert product.token().count("_") == 2
    assert product.token("operator").startswith("sb_")


def test_commands_know_where_it_serves(product: Product) -> None:
    """A link of the command line leads to the port that `up` listens on, and names what was asked for."""
    product.env = {"SICKBAY_SITE_URL": ""}
    try:
        assert product.manage("signin").startswith(f"{product.url}/welcome/")
        invited = product.manage("invite", "dora@example.com", "--role", "viewer")
        assert invited.startswith(f"{product.url}/welcome/") and "\n" not in invited
        assert product.manage("prepare").startswith("The database is prepared.")
    finally:
        product.env = {}


def test_a_token_of_the_command_line_says_whose_it_is(product: Product) -> None:
    """It is named after who typed, on which machine, and ends when it was asked to."""
    product.manage("token", "--scope", "agent", "--lasts", "30")
    newest = "SELECT label, expires_at - created_at FROM agents_token ORDER BY id DESC LIMIT 1"
    with psycopg.connect(product.database_url()) as connection:
        label, lasts = connection.execute(newest).fetchone() or ("", None)
    assert label == typist() and lasts == timedelta(days=30)


def test_second_up_is_refused(product: Product) -> None:
    """A second `up` on the same data names the first and exits."""
    second = up_again(product, "--data", str(product.data), "--port", "0")
    assert second.returncode == 1
    assert f"pid {product.pid}" in second.stderr
    assert product.answers()


def test_taken_port_is_named(product: Product) -> None:
    """A port that somebody else has is named, before anything is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = up_again(product, "--data", str(product.data) + "-other", "--port", str(port))
    assert refused.returncode == 1
    assert f"Port {port} on 127.0.0.1 is taken" in refused.stderr


@pytest.mark.parametrize("name", CHILDREN)
def test_killed_child_is_back(product: Product, name: str) -> None:
    """A killed child is back within two seconds, and everything works again."""
    until(lambda: strictly_ready(product), 60, "everything before the kill")
    former = product.kill(name)
    until(
        lambda: (product.child(name) or former) != former, 2.0 * slowness(), f"{name} to be back", every=0.01
    )
    until(lambda: strictly_ready(product), 60, f"everything after the kill of {name}")


def test_a_second_beat_waits(product: Product) -> None:
    """Two beats make one tick: the lock passes on when its holder dies, and not before."""
    with psycopg.connect(product.database_url(), autocommit=True) as connection:
        sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sickbay-beat'"
        waiting = sessions + " AND wait_event_type = 'Lock'"
        second = subprocess.Popen(
            [*MANAGE, "beat", "--data", str(product.data)], env={**os.environ, **OWN_SERVERS}
        )
        try:
            until(lambda: connection.execute(waiting).fetchone() == (1,), 60, "the second beat to wait")
            product.kill("beat")
            until(lambda: connection.execute(sessions).fetchone() == (2,), 60, "the killed beat to come back")
            until(lambda: connection.execute(waiting).fetchone() == (1,), 60, "the new one to wait")
            assert second.poll() is None
        finally:
            second.kill()
            second.wait()


def test_valkey_flushed_is_no_loss(product: Product) -> None:
    """An emptied Valkey is full again within ten seconds."""
    import redis

    url = json.loads((product.data / "servers.json").read_text())["redis_url"]
    with redis.Redis.from_url(url) as client:
        client.flushall()
    until(lambda: strictly_ready(product), 10 * slowness(), "the pulses")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stops_in_order(product: Product, number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM end everything in order, in under five seconds, and the next start is quick."""
    processes = product.processes()
    began = time.monotonic()
    os.kill(product.pid, number)
    assert product.up is not None and product.up.process is not None
    assert product.up.process.wait(10) == 0
    assert time.monotonic() - began < 5 * slowness()
    assert [p for p in processes if p.is_running()] == []
    assert (
        "database system is shut down" in (product.data / "log" / "postgres.log").read_text().splitlines()[-1]
    )
    product.start()
    assert product.ready_after() <= 8 * slowness()


def test_killed_supervisor_leaves_no_orphan(product: Product) -> None:
    """After kill -9 of the supervisor every process ends by itself, and the next start takes over."""
    processes = product.processes()
    os.kill(product.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []
    product.start()
    until(lambda: strictly_ready(product), 60, "the next start")


def test_idle_memory(product: Product) -> None:
    """The whole idle product takes at most 600 MB."""
    until(lambda: strictly_ready(product), 60, "everything")
    assert sum(process.memory_full_info().pss for process in product.processes()) <= 600e6


def test_uses_the_servers_it_is_given(django_db_setup: None) -> None:
    """With both addresses set nothing is embedded, and other commands find those servers by the data."""
    with psycopg.connect(database_url(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE given")
        try:
            given = {"SICKBAY_DATABASE_URL": database_url("given"), "SICKBAY_REDIS_URL": settings.REDIS_URL}
            with running_product(env=given) as product:
                assert product.child("postgres") is None and product.child("valkey") is None
                product.env = {}
                assert product.token().startswith("sb_")
        finally:
            connection.execute("DROP DATABASE given WITH (FORCE)")


@pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not installed")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_ends_with_uv(product: Product, number: signal.Signals) -> None:
    """`uv run manage.py up` ends with uv, also when uv is killed, and also in the middle of a start."""
    product.stop()
    command = [
        "uv",
        "run",
        "--no-sync",
        "manage.py",
        "up",
        "--data",
        str(product.data),
        "--port",
        str(product.port),
    ]
    with subprocess.Popen(command, env={**os.environ, **OWN_SERVERS}, stderr=subprocess.DEVNULL) as uv:
        postmaster = product.data / "postgres" / "postmaster.pid"
        until(postmaster.exists, 30, "Postgres")
        family = psutil.Process(uv.pid).children(recursive=True)
        assert len(family) > 2
        uv.send_signal(number)
        _, alive = psutil.wait_procs(family, timeout=10)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []
    until(lambda: not postmaster.exists(), 5, "Postgres to end")
