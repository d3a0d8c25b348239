"""What putting a workspace back costs, beside git: `uv run python -m tests.bench.restore`.

W2 (1,000 files, 50 MB) of which 139 files differ from the checkpoint. Bounds: ≤ 100 ms for them, ≤ 5 ms for
what differs between the two trees. The floors, in the same run: 139 files of the same sizes written and made
durable eight at a time, with nothing else done; `git checkout`, which makes nothing durable. Times are of the
wall and, behind them, of the CPU, the kernel's part of it apart.
"""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from checkpoints.diffs import workspace as differences
from sickbay import _restore
from sickbay._folder import Found
from sickbay._stage import together
from sickbay._workspace import Workspace
from tests.bench import w2
from tests.bench.workspace import git, git_commit

DIFFERING, TIMES = 139, 9
HEAD = ("what", "least ms", "p50 ms", "CPU least", "of it kernel", "CPU p50")


def changed(work: Path, step: int) -> list[Path]:
    """A line more in every seventh file."""
    files = [work / name for name in w2.paths()[:: len(w2.paths()) // DIFFERING]][:DIFFERING]
    for file in files:
        with open(file, "ab") as end:
            end.write(b"step %d\n" % step)
    return files


def row(what: str, before: Callable[[int], Any], work: Callable[[], Any]) -> tuple[Any, ...]:
    wall, cpu = [], []
    for step in range(TIMES):
        before(step)
        began, used = time.perf_counter(), spent()
        work()
        wall.append((time.perf_counter() - began) * 1e3)
        user, system = (after - ago for after, ago in zip(spent(), used, strict=True))
        cpu.append(((user + system) * 1e3, system * 1e3))
    wall.sort()
    cpu.sort()
    return what, wall[0], wall[len(wall) // 2], *cpu[0], cpu[len(cpu) // 2][0]


def spent() -> tuple[float, float]:
    """Seconds of the process and of programs that it called: its own, and the kernel's for it."""
    own, called = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + called.ru_utime, own.ru_stime + called.ru_stime


class Kept:
    """The nodes of all snapshots."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, bytes] = {}

    def put(self, found: Found) -> None:
        self.nodes[found.name] = found.plain

    def __call__(self, names: Iterable[bytes]) -> Mapping[bytes, bytes]:
        return {name: self.nodes[name] for name in names if name in self.nodes}


def measured(base: Path) -> list[tuple[Any, ...]]:
    work, kept = base / "w2", Kept()
    work.mkdir()
    w2.make(work)
    workspace = Workspace(work)
    root = workspace.snapshot(kept.put).root
    files = changed(work, 99)
    other = workspace.snapshot(kept.put)
    contents = [file.read_bytes() for file in files]
    current = other.folder

    def change(step: int) -> None:
        nonlocal current
        changed(work, step)
        time.sleep(0.05)  # else a file may have been written again in the tick in which it is read
        current = workspace.snapshot(kept.put).folder

    def restore() -> None:
        done = _restore.restore(work, root, kept, current=current)
        assert len(done.written) == DIFFERING and not done.removed

    def written() -> None:
        folder = base / "floor"
        folder.mkdir()
        fds = [os.open(folder / str(n), os.O_WRONLY | os.O_CREAT) for n in range(len(contents))]
        for fd, content in zip(fds, contents, strict=True):
            os.write(fd, content)
        together(os.fsync, fds)
        for fd in fds:
            os.close(fd)

    def nothing(step: int) -> None:
        shutil.rmtree(base / "floor", ignore_errors=True)

    rows: list[tuple[Any, ...]] = [HEAD]
    rows.append(row("written and durable, nothing else (floor)", nothing, written))
    rows.append(row(f"restore, {DIFFERING} files", change, restore))
    rows.append(row("what differs, two trees", lambda step: None, lambda: compare(root, other.root, kept)))
    if shutil.which("git"):
        git(work, "init", "-q")
        git_commit(work)
        rows.append(row("git checkout", lambda step: changed(work, step), lambda: git(work, "checkout", ".")))
        changed(work, 1)
        git_commit(work)
        diff = ("diff", "--name-status", "HEAD~1", "HEAD")
        rows.append(row("git diff of two trees", lambda step: None, lambda: git(work, *diff)))
    return rows


def compare(old: bytes, new: bytes, kept: Kept) -> None:
    assert len(differences.compare(old, new, kept).changes) == DIFFERING


def main() -> None:
    from tests.bench import ground

    with tempfile.TemporaryDirectory() as base:
        ground.table("A workspace put back", measured(Path(base)))
    print(f"\n  wanted: ≤ 100 ms for {DIFFERING} files, ≤ 5 ms for two trees")


if __name__ == "__main__":
    main()
