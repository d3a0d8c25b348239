"""The embedded Postgres ends whole: no backend outlives its postmaster, and a start finds the way clear."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from dashboard.embedded import postgres as embedded
from dashboard.embedded.children import Child, ServerFailed
from dashboard.embedded.postgres import Postgres
from tests.waiting import slowness, until


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    with tempfile.TemporaryDirectory(prefix="sickbay-ends-", ignore_cleanup_errors=True) as directory:
        made = Postgres(Path(directory), Path(directory) / "log" / "postgres.log", lasting=False)
        made.prepare()
        yield made


def started(postgres: Postgres) -> Child:
    child = postgres.child()
    child.start()
    postgres.wait_until_ready(child)
    postgres.ensure_database()
    return child


def family(child: Child) -> list[psutil.Process]:
    assert child.pid is not None
    process = psutil.Process(child.pid)
    return [process, *process.children(recursive=True)]


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def halted_backend(postgres: Postgres) -> psycopg.Connection[tuple[object, ...]]:
    """A backend that answers nobody, as one that the kernel keeps busy."""
    connection = psycopg.connect(postgres.url)
    os.kill(connection.info.backend_pid, signal.SIGSTOP)
    return connection


def test_an_ordered_stop_leaves_no_backend(postgres: Postgres) -> None:
    """A backend that does not hear the wish to stop ends with its postmaster, in time for five seconds."""
    child = started(postgres)
    connection = halted_backend(postgres)
    processes = family(child)
    began = time.monotonic()
    child.stop(timeout=1.5)
    assert time.monotonic() - began < 2.5 * slowness()
    assert alive(processes) == []
    connection.close()
    started(postgres).stop(timeout=10)


def test_a_start_ends_the_backends_of_a_dead_postmaster(postgres: Postgres) -> None:
    """After kill -9 of the postmaster a backend that still holds the shared memory stops no start."""
    child = started(postgres)
    connection = halted_backend(postgres)
    backend = psutil.Process(connection.info.backend_pid)
    assert child.process is not None
    child.process.kill()
    child.process.wait()
    assert alive([backend])
    again = started(postgres)
    assert not alive([backend])
    connection.close()
    again.stop(timeout=10)


def test_somebody_elses_postgres_is_named(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """A postmaster on the same data that is not going down is left alone, and named in one sentence."""
    monkeypatch.setattr(embedded, "FORMER_WITHIN", 0.2)
    first = started(postgres)
    with pytest.raises(ServerFailed, match=rf"kill -INT {first.pid}\), then start again\.$") as refused:
        postgres.child().start()
    assert "\n" not in str(refused.value)
    assert first.is_running()
    first.stop(timeout=10)


def test_a_former_postmaster_that_cannot_end_is_ended(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was told to stop and waits for a backend is given its time, then killed with it."""
    monkeypatch.setattr(embedded, "FORMER_WITHIN", 0.2)
    first = started(postgres)
    connection = halted_backend(postgres)
    processes = family(first)
    first.ask_to_stop()
    note = postgres.cluster / "postmaster.pid"
    until(lambda: embedded.is_stopping(note), 10, "the postmaster to say that it stops")
    again = started(postgres)
    assert alive(processes) == []
    first.stop(timeout=5)
    connection.close()
    again.stop(timeout=10)
