"""Laws of a full disk at the agent: no checkpoint, no exception, and the pause is written all the same."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdk.tests.desk import breaks, fail, of_kind, paused, works
from sickbay import ActionFailed, EffectRefused, RestoreRefused, Run
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


def test_a_full_disk_stops_checkpoints_and_effects_with_a_key(small: Path) -> None:
    """Other actions run, failures count, the pause holds over a restart; with room again all goes on."""
    harness = Harness(small)
    work = small.parent / "work"
    agent = harness.agent(memory={"n": 0}, workspace=work)
    with agent.run() as run:
        (work / "a.txt").write_text("one")
        first = run.checkpoint("one")
        filler = fill(small)
        agent.memory["n"], _ = 1, (work / "a.txt").write_text("two")
        assert run.checkpoint("two").standing == "refused"
        assert run.execute(works, external=True) == 4
        with pytest.raises(EffectRefused, match="did not run"):
            run.execute(works, external=True, key="refund:1")
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
        assert run.execute(works, external=True, key="refund:1") == 4
        run.rollback(first.id)
        assert (agent.memory["n"], (work / "a.txt").read_text()) == (0, "one")
    told = [e["title"] for e in of_kind(harness, agent, "signal") if e["name"] == "checkpoint"]
    assert ["the disk refused it" in title for title in told] == [True, False], told


def test_an_effect_with_a_key_does_not_run_unwritten(small: Path) -> None:
    """The world is not touched, however it is called; the tool is not blamed; with room it is done once."""
    harness, calls = Harness(small), list[str]()
    agent = harness.agent()
    tool = agent.tool(external=True, key=lambda n: f"refund:{n}")(lambda n: calls.append(f"refund {n}"))

    def in_a_block(run: Run) -> None:
        with run.action("pay", external=True, key="pay:1"):
            calls.append("paid")

    with agent.run() as run:
        filler = fill(small)
        for call in (lambda: tool(1), lambda: in_a_block(run)):
            with pytest.raises(EffectRefused, match="No space left on device") as refused:
                call()
            assert refused.value.transient and refused.value.directory == str(small / "agent" / "main")
        assert run.execute(lambda: calls.append("mail"), name="mail", external=True) is None
        assert calls == ["mail"] and run.wanted is None
        filler.unlink()
        tool(1), tool(1), in_a_block(run)
    assert calls == ["mail", "refund 1", "paid"]
    assert of_kind(harness, agent, "failure") == []


def test_the_loop_takes_the_step_again_when_there_is_room(small: Path) -> None:
    """supervise waits as for any transient failure: no budget is spent, and the effect is done once."""
    harness, calls = Harness(small), list[int]()
    agent = harness.agent(memory={"n": 0})
    fillers: list[Path] = []

    def step(run: Run) -> None:
        if len(fillers) < 6:
            fillers.append(fill(small, f"filler-{len(fillers)}"))
        else:
            for filler in fillers:
                filler.unlink()
        run.execute(lambda: calls.append(1), name="pay", external=True, key="pay:1")
        sys.exit(0)

    with pytest.raises(SystemExit):
        agent.supervise(step)
    assert calls == [1] and of_kind(harness, agent, "failure") == []


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
