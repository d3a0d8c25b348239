"""Names that lead elsewhere: a real DNS on loopback, asked by the system's resolver as the worker does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.product import ROOT

NAMESPACE = ["unshare", "--map-root-user", "--mount", "--net"]
PUBLIC = "93.184.216.34"


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What became of each call, in a network of its own."""
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine permits no network of one's own (unshare)")
    driver = Path(__file__).with_name("names_driver.py")
    resolver = tmp_path_factory.mktemp("names") / "resolv.conf"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "SICKBAY_ALERT_ALLOW_CIDRS": ""}
    command = [*NAMESPACE, sys.executable, str(driver), str(resolver)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_a_name_that_rebinds_reaches_nothing_inside(calls: list[dict[str, Any]]) -> None:
    """One question a call, and the connection goes to the answer that was checked; the next answer, an
    address inside, is refused."""
    first, second = (call for call in calls if call["host"] == "rebinds.example")
    assert (first["said"], first["asked"]) == ("204", 1)
    assert "not a public one" in second["said"] and second["asked"] == 1
    assert all("127.0.0.1" not in call["reached"] for call in calls)


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("public.example", "204"),
        ("inside.example", "not a public one"),
        ("mixed.example", "not a public one"),
        ("nowhere.example", "cannot be resolved"),
        ("silent.example", "cannot be resolved"),
    ],
)
def test_a_name_is_what_all_of_its_answers_are(calls: list[dict[str, Any]], host: str, said: str) -> None:
    """Public is called, inside is not, even beside a public one; what has no answer is a reason."""
    (call,) = (call for call in calls if call["host"] == host)
    assert said in call["said"]


def test_a_dns_that_is_silent_is_left(calls: list[dict[str, Any]]) -> None:
    """It is waited for no longer than a receiver that hangs."""
    assert calls[-1]["host"] == "silent.example" and calls[-1]["took"] < 7
    assert calls[-1]["reached"] == {PUBLIC: 2}
