"""The leash: a child ends with its parent, however that ends, also where the kernel does not help."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from dashboard.embedded import children
from dashboard.embedded.children import Child
from tests.waiting import until

PARENT = """
import sys, threading
from pathlib import Path
from dashboard.embedded.children import Child
child = Child("sleeper", ["sleep", "60"], log=Path(sys.argv[1]))
child.start()
print(child.pid, flush=True)
threading.Event().wait(60)
"""


def below(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


@pytest.mark.parametrize("how", ["kernel", "watch"])
def test_a_killed_parent_takes_its_child_along(tmp_path: Path, how: str) -> None:
    """After kill -9 of the parent nothing is left, by death signal or by watching the parent's pid."""
    env = {**os.environ, "SICKBAY_LEASH": how, "PYTHONPATH": "."}
    command = [sys.executable, "-c", PARENT, str(tmp_path / "log")]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        until(lambda: any(p.name() == "sleep" for p in below(pid)), 5, "the sleeper")
        family = below(pid)
        parent.kill()
        _, alive = psutil.wait_procs(family, timeout=5)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.parametrize("how", ["kernel", "watch"])
def test_a_stop_reaches_the_program(tmp_path: Path, how: str) -> None:
    """The stop signal arrives at the program itself, and its exit is seen."""
    child = Child("sleeper", ["sleep", "60"], log=tmp_path / "log", env={"SICKBAY_LEASH": how})
    child.start()
    assert child.pid is not None
    pid = child.pid
    until(lambda: any(p.name() == "sleep" for p in below(pid)), 5, "the sleeper")
    family = below(pid)
    child.stop(timeout=5)
    assert child.process is not None and child.process.returncode in (-signal.SIGTERM, 256 - signal.SIGTERM)
    assert not any(p.is_running() for p in family)


def test_who_does_not_stop_is_made_to(tmp_path: Path) -> None:
    """A child that ignores the wish to stop ends all the same, with what it started."""
    script = "trap '' TERM; sleep 60 & echo ready; wait; sleep 60"
    child = Child("deaf", ["sh", "-c", script], log=tmp_path / "log")
    child.start()
    until(lambda: "ready" in child.last_words(), 5, "the deaf child")
    assert child.pid is not None
    family = below(child.pid)
    child.stop(timeout=0.2)
    psutil.wait_procs(family, timeout=5)
    assert not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in family)


def test_a_log_stays_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that grew too long is put aside while its child goes on writing."""
    monkeypatch.setattr(children, "LOG_LIMIT", 1000)
    script = "head -c 2000 /dev/zero; echo first; read -r line < go; echo second; sleep 60"
    os.mkfifo(tmp_path / "go")
    child = Child("wordy", ["sh", "-c", script], log=tmp_path / "wordy.log", cwd=tmp_path)
    child.start()
    until(lambda: "first" in child.last_words(), 5, "the first words")
    child.trim_log()
    (tmp_path / "go").write_text("on\n")
    until(lambda: child.last_words() == "second", 5, "the log to go on at its start")
    assert "first" in (tmp_path / "wordy.log.1").read_text()
    child.stop(timeout=1)
