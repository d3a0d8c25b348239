"""What a snapshot of a workspace costs, beside git: `uv run python -m tests.bench.workspace [--big]`.

W2: 1,000 files, 50 MB, 5 change a step. Bounds: ≤ 25 ms p50 a snapshot, ≤ 20 KB a step. `--big`: 20,000 files
of 1 GB; bounds: first snapshot ≥ 200 MB/s, memory ≤ 150 MB. Times are of the wall and, behind them, of the
CPU, which other work on the machine does not move.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from sickbay._folder import Found
from sickbay._workspace import Workspace, record_of
from sickbay.tree.record import write
from tests.bench import w2

STEPS = 50


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Milliseconds of the wall and of the CPU, programs that were called included, and what came of it."""
    wall, cpu = time.perf_counter(), spent()
    result = work()
    return (time.perf_counter() - wall) * 1e3, (spent() - cpu) * 1e3, result


def spent() -> float:
    called = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + called.ru_utime + called.ru_stime


def shown(what: str, wall: list[float], cpu: list[float], more: str = "") -> None:
    print(f"{what:44}{median(wall):9.1f}{min(wall):9.1f}{median(cpu):9.1f}  {more}")


def git(work: Path, *arguments: str) -> bytes:
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "gc.auto=0", "-c", "init.defaultBranch=main")
    return subprocess.run(["git", *who, *arguments], cwd=work, check=True, capture_output=True).stdout


def git_size(work: Path) -> int:
    files = (Path(folder) / name for folder, _, names in os.walk(work / ".git") for name in names)
    return sum(file.stat().st_size for file in files)


def changing(base: Path) -> None:
    work, home = base / "w2", base / "home" / "agent" / "main"
    work.mkdir()
    home.mkdir(parents=True)
    w2.make(work)
    workspace, has_git = Workspace(work, home=home), bool(shutil.which("git"))
    out: list[int] = []
    wall, cpu, first = timed(workspace.snapshot)
    print(f"{'':44}{'p50 ms':>9}{'best':>9}{'cpu p50':>9}")
    shown(
        f"first snapshot, {first.bytes / 1e6:.0f} MB",
        [wall],
        [cpu],
        f"{first.bytes / 1e3 / cpu:.0f} MB/s of CPU",
    )
    wall, cpu, _ = timed(lambda: workspace.get_ready(600))
    shown("fingerprints of all, while idle", [wall], [cpu])
    before = 0
    if has_git:
        git(work, "init", "-q")
        wall, cpu, _ = timed(lambda: git_commit(work))
        shown("git, first", [wall], [cpu])
        before = git_size(work)
    taken, packed, quiet, gits = [], [], [], []

    def emit(found: Found) -> None:
        out.append(len(write(record_of(found))))

    for step in range(1, STEPS + 1):
        w2.mutate(work, step)
        given: list[Found] = []
        taken.append(timed(lambda: workspace.snapshot(given.append))[:2])  # noqa: B023
        packed.append(timed(lambda: [emit(found) for found in given])[:2])  # noqa: B023
        quiet.append(timed(workspace.snapshot)[:2])
        if has_git:
            gits.append(timed(lambda: git_commit(work))[:2])
    shown("snapshot, 5 files changed", *map(list, zip(*taken, strict=True)))
    shown(
        "its nodes packed", *map(list, zip(*packed, strict=True)), f"{sum(out) / STEPS / 1e3:.1f} KB a step"
    )
    shown("snapshot, nothing changed", *map(list, zip(*quiet, strict=True)))
    if has_git:
        each = (git_size(work) - before) / STEPS / 1e3
        shown(
            "git add and commit, 5 files changed",
            *map(list, zip(*gits, strict=True)),
            f"{each:.1f} KB a step",
        )
    else:
        print("git is not installed here: nothing beside it")
    shown("cache saved", *([value] for value in timed(lambda: workspace.save(at_once=True))[:2]))
    root = workspace.snapshot().root
    wall, cpu, again = timed(Workspace(work, home=home).snapshot)
    assert again.root == root and not again.new
    shown(
        "snapshot after a restart",
        [wall],
        [cpu],
        f"cache {(home / 'workspace.cache').stat().st_size // 1000} KB",
    )


def git_commit(work: Path) -> None:
    git(work, "add", "-A")
    git(work, "commit", "-qm", "step")


def big(base: Path) -> None:
    """A third of it is text, the sizes are those of a repository with data in it."""
    rng, work = random.Random(1), base / "big"
    words = [rng.randbytes(3).hex() for _ in range(2_000)]
    text = " ".join(rng.choices(words, k=400_000)).replace(words[0], "\n").encode()
    for number in range(20_000):
        folder = work / f"{number % 20:02}" / f"{number // 20 % 50:02}"
        folder.mkdir(parents=True, exist_ok=True)
        size = int(min(2_000_000, rng.lognormvariate(10.2, 1.1)))
        at = rng.randrange(max(1, len(text) - size))
        (folder / f"{number}.x").write_bytes(text[at : at + size] if number % 3 == 0 else rng.randbytes(size))
    workspace = Workspace(work)
    for what in ("first snapshot", "second", "third"):
        wall, cpu, taken = timed(lambda: workspace.snapshot(lambda found: None))
        rate = f"{taken.bytes / 1e3 / wall:.0f} MB/s, {taken.bytes / 1e3 / cpu:.0f} of CPU"
        shown(f"{what}: {taken.files:,} files, {taken.bytes / 1e6:.0f} MB", [wall], [cpu], rate)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"memory of the whole process at its peak: {peak:.0f} MB")


def main() -> None:
    with tempfile.TemporaryDirectory() as base:
        (big if "--big" in sys.argv[1:] else changing)(Path(base))


if __name__ == "__main__":
    main()
