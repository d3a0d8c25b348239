"""Laws of where the workspace is: a disk that is not mounted is neither snapshotted nor filled."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sdk.tests.desk import of_kind, works
from sickbay import Agent, Checkpoint, RestoreRefused
from sickbay.testing import Harness


class Disk:
    """A disk of its own, mounted where the workspace is."""

    def __init__(self, directory: Path) -> None:
        self.work, self._disk = directory / "work", directory / "disk"
        self.work.mkdir()
        self._disk.mkdir()
        if os.geteuid() != 0 or _run("mount", "-t", "tmpfs", "-o", "size=1m", "none", str(self._disk)):
            pytest.skip("this machine permits no mounting")
        self.mount()

    def mount(self) -> None:
        assert _run("mount", "--bind", str(self._disk), str(self.work)) == 0

    def unmount(self) -> None:
        assert _run("umount", str(self.work)) == 0

    def close(self) -> None:
        for where in (self.work, self._disk):
            _run("umount", "-l", str(where))


def _run(*command: str) -> int:
    return subprocess.run(command, capture_output=True, check=False).returncode


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path)
    yield disk
    disk.close()


def said(harness: Harness, agent: Agent) -> list[str]:
    return [event["title"] for event in of_kind(harness, agent, "signal") if event["name"] == "checkpoint"]


def taken(agent: Agent, **more: Any) -> Checkpoint:
    """A run that takes one checkpoint."""
    with agent.run(**more) as run:
        return run.checkpoint("this one")


def test_a_disk_that_is_gone_is_not_a_workspace_wiped_clean(harness: Harness, disk: Disk) -> None:
    """No snapshot of the empty mount point, no restore into it; mounted again, it goes on by itself."""
    agent = harness.agent(memory={"n": 1}, workspace=disk.work)
    with agent.run() as run:
        (disk.work / "a.txt").write_text("one")
        first = run.checkpoint("one")
        disk.unmount()
        assert run.checkpoint("two").standing == "refused"
        with pytest.raises(RestoreRefused, match="is its disk mounted"):
            run.rollback(first.id)
        assert os.listdir(disk.work) == [] and agent.memory == {"n": 1}
        disk.mount()
        assert run.checkpoint("three").standing != "refused"
        (disk.work / "a.txt").write_text("two")
        run.rollback(first.id)
        assert (disk.work / "a.txt").read_text() == "one"
    assert sum("is its disk mounted" in title for title in said(harness, agent)) == 1


def test_it_is_known_over_a_restart(harness: Harness, disk: Disk) -> None:
    """The next process refuses the empty mount point, too, though its path is right."""
    assert taken(harness.agent(memory={"n": 1}, workspace=disk.work)).standing != "refused"
    disk.unmount()
    assert taken(harness.agent(memory={"n": 1}, workspace=disk.work)).standing == "refused"
    assert os.listdir(disk.work) == []
    disk.mount()
    assert taken(harness.agent(memory={"n": 1}, workspace=disk.work)).standing != "refused"


def test_another_workspace_in_its_place_is_refused_until_it_is_wanted(
    harness: Harness, tmp_path: Path
) -> None:
    """A directory with another mark; `fresh=True` takes whatever is there from then on."""
    work, other = tmp_path / "work", tmp_path / "other"
    taken(harness.agent("other", memory={"n": 1}, workspace=other))
    agent = harness.agent(memory={"n": 1}, workspace=work)
    taken(agent)
    work.rename(tmp_path / "elsewhere")
    other.rename(work)
    assert taken(agent).standing == "refused"
    assert "fresh=True" in said(harness, agent)[-1]
    assert taken(agent, fresh=True).standing != "refused"
    assert taken(agent).standing != "refused"


@pytest.mark.parametrize("how", ["emptied", "made anew", "cleaned"])
def test_what_the_agent_did_to_its_own_workspace_can_be_undone(
    harness: Harness, tmp_path: Path, how: str
) -> None:
    """Wiped clean where it lies, or cleaned of what git does not know, it is the workspace still."""
    work = tmp_path / "work"
    agent = harness.agent(memory={"n": 1}, workspace=work)
    with agent.run() as run:
        (work / "a.txt").write_text("one")
        first = run.checkpoint("one")
        shutil.rmtree(work / ".sickbay")
        if how == "made anew":
            shutil.rmtree(work)
            work.mkdir()
        elif how == "emptied":
            (work / "a.txt").unlink()
        assert run.checkpoint("two").standing != "refused"
        run.rollback(first.id)
        assert (work / "a.txt").read_text() == "one"


def test_git_leaves_our_directory_alone(harness: Harness, tmp_path: Path) -> None:
    """Neither `git add -A` nor `git clean -fd` takes `.sickbay`."""
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    work = tmp_path / "work"
    agent = harness.agent(memory={"n": 1}, workspace=work)
    with agent.run() as run:
        subprocess.run(["git", "init", "-q", str(work)], check=True)
        subprocess.run(["git", "-C", str(work), "clean", "-fdq"], check=True)
        told = subprocess.run(
            ["git", "-C", str(work), "status", "--porcelain"], capture_output=True, text=True
        )
        run.execute(works)
    assert told.stdout == "" and (work / ".sickbay" / "mark").exists()


def test_a_workspace_that_cannot_be_marked_is_believed(harness: Harness, tmp_path: Path) -> None:
    """Where nothing can be written nothing is known, and nothing is refused."""
    (work := tmp_path / "work").mkdir()
    (work / ".sickbay").write_text("in the way")
    agent = harness.agent(memory={"n": 1}, workspace=work)
    assert taken(agent).standing != "refused"
    assert not (tmp_path / "agent" / "main" / "workspace.landmark").exists()
