"""Servers of a benchmark's own: Postgres, Valkey, migrations, and Daphne as `manage.py serve` starts it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from dashboard.embedded.children import Child
from dashboard.embedded.postgres import Postgres
from dashboard.embedded.valkey import Valkey, choose_url
from tests.ingest.airline import SHARED


@contextlib.contextmanager
def servers() -> Iterator[None]:
    """Started before Django reads its settings, which come after. Durable, as in production."""
    data = Path(tempfile.mkdtemp(prefix="sickbay-bench-"))
    valkey = Valkey(data, data / "valkey.log", choose_url(None))
    postgres = Postgres(data, data / "postgres.log")
    children: list[Child] = []
    try:
        for server in (valkey, postgres):
            server.prepare()
            children.append(server.child())
            children[-1].start()
            server.wait_until_ready(children[-1])
        postgres.ensure_database()
        os.environ["SICKBAY_REDIS_URL"], os.environ["SICKBAY_DATABASE_URL"] = valkey.url, postgres.url
        os.environ["SICKBAY_DATA"] = str(data)
        os.environ["DJANGO_SETTINGS_MODULE"] = "dashboard.settings"
        _migrate()
        yield
    finally:
        for child in reversed(children):
            child.stop(10)
        shutil.rmtree(data, ignore_errors=True)


def _migrate() -> None:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def workload() -> Any:
    """The seeded workloads that other systems are measured with, too."""
    path = SHARED / "bench" / "workload.py"
    spec = importlib.util.spec_from_file_location("workload", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cpu(pid: int) -> float:
    """Seconds of CPU of a process and everything below it."""
    total = 0.0
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def percentile(values: list[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(part * (len(ordered) - 1)))]


def table(title: str, rows: list[tuple[Any, ...]]) -> None:
    """Columns as wide as they need; the first row is the head."""
    print(f"\n{title}")
    texts = [[f"{cell:,.1f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in texts) for i in range(len(texts[0]))]
    for row in texts:
        print("  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
