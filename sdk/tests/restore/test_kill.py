"""Killed at any instant, the workspace is the old one or, once the next start has finished, the new one."""

from __future__ import annotations

import os
import pickle
import random
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest

from sdk.tests.restore.dying import begun
from sdk.tests.restore.trees import Link, Program, Spec, Store, kinds, lay, on_disk
from sickbay import _restore

ROUNDS = int(os.environ.get("SICKBAY_KILLS", "30"))
OLD: Spec = {
    **{f"same-{n}": b"same" for n in range(10)},
    **{f"file-{n}": b"old %d" % n for n in range(30)},
    "gone": {f"g{n}": b"gone" for n in range(10)} | {"deep": {"er": b"x"}},
    "turns": {"into": b"a file"},
    "link": Link(b"file-1"),
}
NEW: Spec = {
    **{f"same-{n}": b"same" for n in range(10)},
    **{f"file-{n}": Program(b"new %d" % n) for n in range(30)},
    "made": {f"m{n}": b"made" for n in range(10)} | {"deep": {"er": {}}},
    "turns": b"from a directory",
    "link": Link(b"file-2"),
    "pipe": b"a file",
}
PREPARING = ["compared", "staging", "staging:17", "staged", "stage_flushed", "plan_staged"]
BEGUN = ["after_plan", "kept", "away", "drop", "drop:3", "hollow", "hollow:2", "make", "make:3"]
BEGUN += ["put", "put:2", "put:25", "put:42", "in_place", "flushed", "journal_gone"]
AGAIN = ["kept", "away", "drop:2", "hollow", "make", "put", "put:30", "in_place", "flushed"]


class Case:
    """One workspace with a tree that it is to become."""

    def __init__(self, directory: Path) -> None:
        self.work, self.nodes = directory / "work", directory / "nodes"
        self.store = Store()
        self.root = self.store.grow(NEW)
        self.nodes.write_bytes(pickle.dumps(self.store.nodes))
        self.lay()

    def lay(self) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
        lay(self.work, OLD)
        os.mkfifo(self.work / "pipe")

    def dies(self, verb: str, failpoint: str) -> None:
        with begun(self.work, self.nodes, self.root, verb, f"restore:{failpoint}") as process:
            process.communicate(b"\n", 30)
        assert process.returncode == 137, f"{failpoint} was not passed"

    def is_old(self) -> bool:
        return on_disk(self.work) == kinds(OLD)

    def is_new(self) -> bool:
        return on_disk(self.work) == kinds(NEW)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


@pytest.mark.parametrize("failpoint", PREPARING)
def test_before_the_plan_it_is_the_old_one(case: Case, failpoint: str) -> None:
    """Died while it prepared: nothing was touched, nothing is pending, and it can be done anew."""
    case.dies("restore", failpoint)
    assert case.is_old()
    assert _restore.finish(case.work) is None
    assert case.is_old()
    done = _restore.restore(case.work, case.root, case.store, id="r1")
    assert case.is_new()
    assert len(done.kept) == 44


@pytest.mark.parametrize("failpoint", BEGUN)
def test_after_the_plan_it_becomes_the_new_one(case: Case, failpoint: str) -> None:
    """Died after the plan: the next start finishes it, and tells the same."""
    case.dies("restore", failpoint)
    done = _restore.finish(case.work)
    assert case.is_new()
    assert (done is None) == (failpoint == "journal_gone")
    assert len(list((case.work / ".sickbay/aside/r1").rglob("*"))) == 44 + 3
    assert not done or len(done.kept) == 44
    assert _restore.finish(case.work) is None


@pytest.mark.parametrize("failpoint", AGAIN)
def test_finishing_may_die_as_well(case: Case, failpoint: str) -> None:
    """However often the finishing dies, the next attempt goes on from there."""
    case.dies("restore", "put:20")
    case.dies("finish", failpoint)
    case.dies("finish", "in_place")
    _restore.finish(case.work)
    assert case.is_new()


def test_killed_at_random_it_is_never_mixed(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """SIGKILL at any time of a restore and of its finishing: old or new, never between."""
    seed = int(os.environ.get("SICKBAY_SEED", random.randrange(1 << 32)))
    print(f"SICKBAY_SEED={seed}")
    chance = random.Random(seed)
    took = _lasts(case)
    ends = {"old": 0, "new": 0, "pending": 0}
    for number in range(ROUNDS):
        case.lay()
        if number % 3 == 0:  # each third before the plan, just after it, and whenever the clock says
            case.dies("restore", "after_plan")
        elif number % 3 == 1:
            case.dies("restore", chance.choice(PREPARING))
        else:
            _killed(case, "restore", chance.uniform(0.0, took))
        while _restore.is_pending(case.work):
            ends["pending"] += 1
            _killed(case, "finish", chance.uniform(0.0, took))
        assert _restore.finish(case.work) is None
        assert case.is_old() or case.is_new()
        ends["old" if case.is_old() else "new"] += 1
    print(ends)
    assert ends["new"] >= ROUNDS // 3 and ends["old"] >= ROUNDS // 3 and ends["pending"]


def _lasts(case: Case) -> float:
    """How long a restore takes here, from its beginning to its end."""
    with begun(case.work, case.nodes, case.root, "restore") as process:
        assert process.stdin and process.stdout
        process.stdout.readline()
        start = time.monotonic()
        process.communicate(b"\n", 30)
        return time.monotonic() - start


def _killed(case: Case, verb: str, after: float) -> None:
    with begun(case.work, case.nodes, case.root, verb) as process:
        assert process.stdin and process.stdout
        process.stdout.readline()
        timer = threading.Timer(after, process.send_signal, (signal.SIGKILL,))
        timer.start()
        process.communicate(b"\n", 30)
        timer.cancel()
