"""A pytest plugin: Postgres and Valkey of this session's own, started before Django's settings are read.

With `SICKBAY_DATABASE_URL` and `SICKBAY_REDIS_URL` set, those are used and nothing is started. The servers
hang on this process by a leash, so that a killed session leaves nothing behind but its directory.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from dashboard.embedded.children import Child
from dashboard.embedded.postgres import Postgres
from dashboard.embedded.valkey import Valkey, choose_url

started: list[Child] = []


def start(data: Path) -> None:
    if "SICKBAY_REDIS_URL" not in os.environ:
        valkey = Valkey(data, data / "log" / "valkey.log", choose_url(None), lasting=False)
        valkey.prepare()
        started.append(valkey.child())
        started[-1].start()
        valkey.wait_until_ready(started[-1])
        os.environ["SICKBAY_REDIS_URL"] = valkey.url
    if "SICKBAY_DATABASE_URL" not in os.environ:
        postgres = Postgres(data, data / "log" / "postgres.log", lasting=False)
        postgres.prepare()
        started.append(postgres.child())
        started[-1].start()
        postgres.wait_until_ready(started[-1])
        postgres.ensure_database()
        os.environ["SICKBAY_DATABASE_URL"] = postgres.url


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    """A wrapper, because pytest-django reads the settings in this hook, first of all plain ones."""
    if early_config.known_args_namespace.help or early_config.known_args_namespace.version:
        return (yield)
    if early_config.known_args_namespace.numprocesses and "PYTEST_XDIST_WORKER" not in os.environ:
        # Each worker starts servers of its own. It is given this process's environment, and nothing of `-p`.
        os.environ["PYTEST_PLUGINS"] = "tests.servers"
        return (yield)
    data = Path(tempfile.mkdtemp(prefix="sickbay-tests-"))
    early_config.add_cleanup(lambda: stop(data))
    os.environ["SICKBAY_DATA"] = str(data)
    start(data)
    return (yield)


def stop(data: Path) -> None:
    while started:
        started.pop().stop(timeout=5)
    shutil.rmtree(data, ignore_errors=True)
