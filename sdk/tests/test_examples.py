"""Laws of the examples: real programs, each of which falls ill in its own way and pauses itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sdk.tests.durable import until
from sickbay.testing import spooled

EXAMPLES = Path(__file__).parents[1] / "examples"
# What breaks in each, as its docstring says: the action, the kind of failure, and a word of what was seen.
ILLNESSES = {
    "price-watch": ("get_price", "error", "'price'"),
    "ledger-keeper": ("reconcile", "verification", "the balance is off by"),
    "note-gardener": ("plant", "error", "JSONDecodeError"),
    "ticket-triage": ("sort_ticket", "verification", "sorted into general"),
}


@dataclass
class Example:
    name: str
    home: Path

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in spooled(self.home, self.name) if event["kind"] == kind]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """All examples at once, without a server, as fast as they go; their home."""
    base = tmp_path_factory.mktemp("examples")
    env = {**os.environ, "SICKBAY_DEMO_PACE": "0", "SICKBAY_DEMO_DIR": str(base / "work")}
    env = {name: value for name, value in env.items() if name not in ("SICKBAY_URL", "SICKBAY_TOKEN")}
    env["SICKBAY_HOME"] = str(base / "home")
    listed = json.loads((EXAMPLES / "demo.json").read_text())["agents"]
    running = [
        subprocess.Popen(
            [sys.executable, EXAMPLES / one["file"], *one["args"]], env=env, stderr=subprocess.DEVNULL
        )
        for one in listed
    ]
    yield base / "home"
    for process in running:
        process.terminate()
    assert [process.wait(10) for process in running] == [0] * len(running)


@pytest.fixture(params=sorted(ILLNESSES))
def example(request: pytest.FixtureRequest, home: Path) -> Example:
    """One of them, once it has paused."""
    one = Example(request.param, home)
    until(lambda: (home / one.name).exists() and one.events("pause"), 60)
    return one


def test_each_example_falls_ill_in_its_own_way(example: Example) -> None:
    """Healthy work first, then failures of one action, of one kind, that say what is wrong."""
    name, kind, said = ILLNESSES[example.name]
    failures = example.events("failure")
    assert {(failure["name"], failure["failure"]) for failure in failures} == {(name, kind)}
    assert all(said in failure["title"] for failure in failures)
    works = [action for action in example.events("action") if action["outcome"] == "ok"]
    assert len(works) >= 20


def test_each_example_is_paused_by_its_budget(example: Example) -> None:
    """The third failure pauses, and nothing runs after it."""
    assert len(example.events("failure")) == 3
    assert [pause["name"] for pause in example.events("pause")] == ["budget"]
    assert example.events("action")[-1]["outcome"] == "failed"


def test_the_demo_starts_every_example() -> None:
    """Each program with an agent is listed, and nothing else."""
    listed = {one["file"]: one["name"] for one in json.loads((EXAMPLES / "demo.json").read_text())["agents"]}
    assert set(listed) == {path.name for path in EXAMPLES.glob("*.py")} - {"pace.py"}
    assert set(listed.values()) == set(ILLNESSES)
