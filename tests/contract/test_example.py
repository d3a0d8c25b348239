"""An example and the real web server: it pauses, a human says what to do, it goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from agents.models import Entry, Project
from sickbay.testing import spooled
from tests.builders import make_token
from tests.product import ROOT, Daphne, running_daphne
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def daphne(django_db_setup: None) -> Iterator[Daphne]:
    with running_daphne() as daphne:
        yield daphne


@pytest.fixture
def operator(transactional_db: None, project: Project) -> dict[str, str]:
    return {"Authorization": f"Bearer {make_token(project, 'operator')}"}


@pytest.fixture
def price_watch(daphne: Daphne, transactional_db: None, project: Project, tmp_path: Path) -> Iterator[Path]:
    """The example, running; its home."""
    env = {
        **os.environ,
        "SICKBAY_URL": daphne.url,
        "SICKBAY_TOKEN": make_token(project),
        "SICKBAY_HOME": str(tmp_path / "home"),
        "SICKBAY_DEMO_DIR": str(tmp_path / "work"),
        "SICKBAY_DEMO_PACE": "0.02",
    }
    command = [sys.executable, str(ROOT / "sdk" / "examples" / "price_watch.py")]
    with subprocess.Popen(command, env=env) as process:
        try:
            yield tmp_path / "home"
        finally:
            process.terminate()
            process.wait(15)


def asked(daphne: Daphne, operator: dict[str, str], method: str, path: str, **said: Any) -> Any:
    more = {"json": said} if said else {}
    return urllib3.request(method, f"{daphne.url}/api/v1/{path}", headers=operator, **more).json()


def test_guidance_cures_what_it_names(daphne: Daphne, operator: dict[str, str], price_watch: Path) -> None:
    """Paused by its budget, resumed with the words of its docstring, it reads the new shape and goes on."""

    def paused() -> Any:
        return asked(daphne, operator, "GET", "incidents/?state=open")["incidents"]

    incident = until(paused, 60, "the incident")[0]
    assert incident["agents"] == ["price-watch"] and incident["cause"] == "budget"
    said = {"decision": "resume", "version": incident["version"], "reason": "the supplier changed"}
    path = f"incidents/{incident['id']}/decide/"
    asked(daphne, operator, "POST", path, **said, guidance="read amount.cents")
    before = len(cured(price_watch))
    until(lambda: len(cured(price_watch)) > before + 20, 30, "prices in the new shape")
    until(lambda: asked(daphne, operator, "GET", "agents/price-watch/")["status"] == "running", 30, "running")
    assert Entry.objects.filter(kind="pause").exclude(kind="action").count() == 1


def cured(home: Path) -> list[dict[str, Any]]:
    return [e for e in spooled(home, "price-watch") if e["kind"] == "action" and e["outcome"] == "ok"]
