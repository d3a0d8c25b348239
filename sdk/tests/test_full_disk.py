"""Laws of a full disk at the agent: no checkpoint, no exception, and the pause is written all the same."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdk.tests.desk import breaks, fail, of_kind, paused, works
from sickbay import ActionFailed, RestoreRefused
from sickbay.testing import Harness


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes for the home; skips where this machine does not permit it."""
    (small := tmp_path / "small").mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(small)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this machine permits no mounting")
    yield small
    subprocess.run(["umount", "-l", str(small)], capture_output=True, check=False)


def fill(where: Path, name: str = "filler") -> Path:
    """To the last byte."""
    with open(where / name, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return where / name


def test_a_full_disk_stops_checkpoints_and_nothing_else(small: Path) -> None:
    """Actions run, failures count, the pause holds over a restart; with room again checkpoints are taken."""
    harness = Harness(small)
    work = small.parent / "work"
    agent = harness.agent(memory={"n": 0}, workspace=work)
    with agent.run() as run:
        (work / "a.txt").write_text("one")
        first = run.checkpoint("one")
        filler = fill(small)
        agent.memory["n"], _ = 1, (work / "a.txt").write_text("two")
        assert run.checkpoint("two").standing == "refused"
        assert run.execute(works, external=True, key="refund:1") == 4
        with pytest.raises(ActionFailed):
            run.execute(breaks)
        (small / "agent" / "main" / "reserve").unlink(missing_ok=True)
        more = fill(small, "more")
        with pytest.raises(RestoreRefused, match="cannot be written"):  # nobody could finish it after a death
            run.rollback(first.id)
        assert (agent.memory["n"], (work / "a.txt").read_text()) == (1, "two")
        filler.unlink()
        more.unlink()
        assert run.checkpoint("three").standing != "refused"
        run.rollback(first.id)
        assert (agent.memory["n"], (work / "a.txt").read_text()) == (0, "one")
    told = [e["title"] for e in of_kind(harness, agent, "signal") if e["name"] == "checkpoint"]
    assert ["the disk refused it" in title for title in told] == [True, False], told


def test_the_pause_is_written_on_a_full_disk(small: Path) -> None:
    """P18: the reserve is for this; the next process is refused, though the disk is as full as before."""
    harness = Harness(small)
    agent = harness.agent(memory={"n": 0})
    with paused(), agent.run() as run:
        fill(small)
        assert run.checkpoint().standing == "refused"
        fail(run, 3)
        run.execute(works)
    with paused(), harness.agent(memory={"n": 0}).run():
        raise AssertionError("the pause was lost")
