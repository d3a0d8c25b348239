"""Laws of a workspace that is written while its snapshot is taken, with real threads."""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sdk.tests.durable import until
from sdk.tests.gathered import Gathered
from sickbay import _looking, _reading
from sickbay._ignore import Rules
from sickbay._looking import Looked, Looking
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


@pytest.mark.parametrize("moment", [b"notes", b"notes/secret"])
def test_a_directory_swapped_at_the_worst_moment_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: bytes
) -> None:
    """Between its name and its listing, and between its listing and the reading of its files."""
    work, outside = tmp_path / "work", tmp_path / "outside"
    (work / "notes").mkdir(parents=True)
    outside.mkdir()
    (work / "notes" / "secret").write_bytes(b"ours")
    (outside / "secret").write_bytes(b"theirs")
    judge = Rules.ignores

    def swapping(rules: Rules, path: bytes, is_directory: bool) -> bool:
        if path == moment and not (tmp_path / "aside").exists():
            (work / "notes").rename(tmp_path / "aside")
            (work / "notes").symlink_to("../outside")
        return judge(rules, path, is_directory)

    monkeypatch.setattr(Rules, "ignores", swapping)
    gathered = Gathered()
    snapshot, _ = gathered.take(Workspace(work))
    assert snapshot.left == {"notes": "is a link that leads out of the workspace"}
    assert not [plain for plain in gathered.values() if plain[:2] == BYTES]


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


def test_a_file_just_written_is_read_again_until_its_times_are_a_tick_old(tmp_path: Path) -> None:
    """What may hide a later write behind the same times is not trusted, and not for ever distrusted."""
    (tmp_path / "counter").write_bytes(b"000")
    os.utime(tmp_path / "counter", (4e9, 4e9))
    workspace = Workspace(tmp_path)
    assert workspace.snapshot().folder.files["counter"].racy
    os.utime(tmp_path / "counter", (1e9, 1e9))
    until(lambda: not workspace.snapshot().folder.files["counter"].racy)


@pytest.mark.parametrize(
    ("mtime", "ctime", "racy"),
    [
        (199.99, 1, True),
        (199.97, 1, False),
        (1, 199.99, True),
        (199, 1, True),
        (198, 1, True),
        (197, 1, False),
    ],
)
def test_how_old_times_must_be(mtime: float, ctime: float, racy: bool) -> None:
    """20 ms before the snapshot; two seconds when the file system writes whole ones."""
    reading = _reading.Reading(0, 200 * 10**9, 0, lambda found: None)
    stamp = (round(mtime * 1000) * 10**6, round(ctime * 1000) * 10**6, 0, 0, 0)
    assert reading._racy(stamp) is racy


def test_no_version_of_a_counter_is_missed(tmp_path: Path) -> None:
    """Writes of one size, as fast as they go, are each seen by the snapshot after them."""
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


NAMES = [f"{n} {letter}" for n, letter in enumerate("qhzbkxcmta")]


def counting(work: Path, pause: float) -> Callable[[], None]:
    """Writes the next number into one file after the other, always in this order."""
    numbers = itertools.count(1)
    files = [os.open(work / name, os.O_CREAT | os.O_WRONLY) for name in NAMES]
    for file in files:
        os.pwrite(file, f"{0:9}".encode(), 0)

    def write() -> None:
        number = next(numbers)
        for file in files:
            os.pwrite(file, f"{number:9}".encode(), 0)
        time.sleep(pause)

    return write


def test_files_are_of_one_moment(tmp_path: Path) -> None:
    """A thread writes one file after the other: no snapshot has a later one newer than an earlier one."""
    work = tmp_path / "work"
    work.mkdir()
    for n in range(300):
        (work / f"m{n}").write_text("between them")
    gathered, still = Gathered(), 0
    with meanwhile(counting(work, 0.012)):
        for n in range(ROUNDS):
            snapshot, _ = gathered.take(Workspace(work))
            if not snapshot.notes:
                still += 1
                gathered.write(snapshot.root, tmp_path / f"to {n}")
                said = [int((tmp_path / f"to {n}" / name).read_text()) for name in NAMES]
                assert said == sorted(said, reverse=True) and said[0] - said[-1] <= 1, said
    assert still > ROUNDS / 2


def test_what_is_never_still_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is written without a pause ends the looking, and the snapshot names it."""
    work = tmp_path / "work"
    work.mkdir()
    for n in range(100):
        (work / f"m{n}").write_text("between them")
    write, look = counting(work, 0), Looking._look

    def written(*given: Any) -> Looked:
        write()
        return look(*given)

    monkeypatch.setattr(Looking, "_look", written)
    snapshot, _ = Gathered().take(Workspace(work))
    assert any(name in note for note in snapshot.notes for name in NAMES), snapshot.notes
    assert snapshot.files == 100 + len(NAMES)


WRITER = """
import sqlite3, sys, threading
base = sqlite3.connect(sys.argv[1] + "/facts.db", isolation_level=None, check_same_thread=False)
base.execute("PRAGMA journal_mode=WAL")
base.execute("PRAGMA synchronous=OFF")
base.execute("PRAGMA wal_autocheckpoint=50")
base.execute("CREATE TABLE fact (n INTEGER PRIMARY KEY, said TEXT)")
threading.Thread(target=lambda: (sys.stdin.read(), __import__("os")._exit(0)), daemon=True).start()
log, n = open(sys.argv[1] + "/agent.log", "ab", buffering=0), 0
while True:
    n += 1
    base.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (n % 500, "word " * 200))
    log.write(b"fact %d\\n" % n)
    if n == 20:
        print("begun", flush=True)
"""


def test_a_database_and_a_log_of_another_process_never_hold_a_snapshot_up(tmp_path: Path) -> None:
    """Written without a pause: looked at so often and no more, and either of one moment or named."""
    work = tmp_path / "work"
    work.mkdir()
    for n in range(100):
        (work / f"m{n}").write_text("between them")
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(work)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert writer.stdin is not None and writer.stdout is not None
    names = {"facts.db", "facts.db-wal", "facts.db-shm", "agent.log"}
    gathered, workspace, took, named = Gathered(), Workspace(work), [], 0
    try:
        assert writer.stdout.readline() == b"begun\n"
        for n in range(ROUNDS):
            began = time.monotonic()
            snapshot, _ = gathered.take(workspace)
            took.append(time.monotonic() - began)
            assert {f"m{n}" for n in range(100)} <= snapshot.folder.files.keys()
            assert set(snapshot.moving) <= names
            assert snapshot.is_still or all(
                any(name in note for note in snapshot.notes) for name in snapshot.moving
            )
            named += not snapshot.is_still
            if snapshot.is_still:
                gathered.write(snapshot.root, tmp_path / f"to {n}")
                with contextlib.closing(sqlite3.connect(tmp_path / f"to {n}" / "facts.db")) as base:
                    assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        writer.communicate()
    assert named and statistics.median(took) < 2 * _looking.LOOKS_S, took
    assert gathered.take(workspace)[0].is_still
