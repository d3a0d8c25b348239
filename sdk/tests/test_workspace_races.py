"""Laws of a workspace that is written while its snapshot is taken, with real threads."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from sdk.tests.gathered import Gathered
from sickbay import _reading
from sickbay._workspace import Workspace
from sickbay.tree.node import BYTES, name_of

ROUNDS = 60


@contextlib.contextmanager
def meanwhile(work: Callable[[], None]) -> Iterator[threading.Event]:
    """Do it again and again in a thread; the event is set when it was done once."""
    done, over = threading.Event(), threading.Event()

    def loop() -> None:
        while not over.is_set():
            work()
            done.set()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        assert done.wait(10)
        yield done
    finally:
        over.set()
        thread.join()


def test_a_directory_that_is_swapped_for_a_link_leads_nowhere(tmp_path: Path) -> None:
    """Whoever swaps a directory for a link out of the workspace gets nothing of what is there."""
    work, outside = tmp_path / "work", tmp_path / "outside"
    (work / "notes").mkdir(parents=True)
    outside.mkdir()
    (work / "notes" / "secret").write_bytes(b"ours")
    (outside / "secret").write_bytes(b"theirs")

    def swap() -> None:
        (work / "notes").rename(work / "aside")
        (work / "notes").symlink_to("../outside")
        (work / "notes").unlink()
        (work / "aside").rename(work / "notes")

    gathered = Gathered()
    with meanwhile(swap) as swapped:
        for _ in range(ROUNDS):
            swapped.clear()
            gathered.take(Workspace(work))
            assert swapped.wait(10)
    assert name_of(BYTES + b"ours") in gathered
    assert name_of(BYTES + b"theirs") not in gathered


def test_a_file_that_is_replaced_is_kept_in_one_of_its_versions(tmp_path: Path) -> None:
    """A rename into place while it is read gives the old bytes or the new, never a mix, and no note."""
    work = tmp_path / "work"
    work.mkdir()
    bodies = [bytes([letter]) * 900_000 for letter in b"abc"]
    (work / "state").write_bytes(bodies[0])
    turns = iter(range(1 << 30))

    def replace() -> None:
        fresh = tmp_path / "fresh"
        fresh.write_bytes(bodies[next(turns) % 3])
        fresh.rename(work / "state")

    gathered, workspace = Gathered(), Workspace(work)
    with meanwhile(replace) as replaced:
        for _ in range(ROUNDS):
            replaced.clear()
            gathered.take(workspace)
            assert replaced.wait(10)
    kept = {plain[2:] for plain in gathered.values() if plain[:2] == BYTES}
    assert kept and kept <= set(bodies)


def test_a_file_that_is_written_all_the_time_is_kept_and_named(tmp_path: Path) -> None:
    """It is read three times, the last reading counts, and a note says so; the next snapshot looks again."""
    work = tmp_path / "work"
    work.mkdir()
    log = work / "busy.log"
    log.write_bytes(b"begun\n")
    gathered, workspace = Gathered(), Workspace(work)
    readings = 0

    def written(file: int, at: int, end: int) -> Iterator[bytes]:
        nonlocal readings
        readings += 1
        yield from blocks(file, at, end)
        with open(log, "ab") as out:
            out.write(b"more\n")

    blocks, _reading._blocks = _reading._blocks, written
    try:
        snapshot, _ = gathered.take(workspace)
    finally:
        _reading._blocks = blocks
    assert readings == 3
    assert snapshot.notes == (
        "busy.log was being written each time it was read: what is kept of it may be torn",
    )
    assert BYTES + b"begun\nmore\nmore\n" in gathered.values()
    assert workspace.snapshot().root == Workspace(work).snapshot().root


def test_a_write_in_the_same_tick_is_seen_by_the_next_snapshot(tmp_path: Path) -> None:
    """A file of the same size and nearly the same time is read again, as often as it takes."""
    (tmp_path / "counter").write_bytes(b"000")
    workspace, gathered = Workspace(tmp_path), Gathered()
    for n in range(1, 300):
        with open(tmp_path / "counter", "r+b") as counter:
            counter.write(b"%03d" % n)
        gathered.take(workspace)
        assert name_of(BYTES + b"%03d" % n) in gathered


def test_a_file_and_its_directory_may_vanish(tmp_path: Path) -> None:
    """What is gone when it is to be read is no part of the snapshot, and no failure."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "stays").write_bytes(b"here")

    def flicker() -> None:
        (work / "d").mkdir()
        (work / "d" / "f").write_bytes(os.urandom(8))
        (work / "d" / "f").unlink()
        (work / "d").rmdir()

    with meanwhile(flicker) as flickered:
        for _ in range(ROUNDS):
            flickered.clear()
            assert Workspace(work).snapshot().files in (1, 2)
            assert flickered.wait(10)
