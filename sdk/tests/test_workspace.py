"""Laws of the workspace's snapshot: what is on the disk, nothing else, at the cost of what changed."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdk.tests.gathered import LINES, Gathered, fresh
from sickbay._folder import Change, Found
from sickbay._workspace import Workspace, record_of
from sickbay.tree import files, pack
from sickbay.tree.directory import SMALL, entries_of
from sickbay.tree.node import BYTES, DIRECTORY, FILE, PLAIN_LIMIT, name_of


def kinds(found: list[Found]) -> list[bytes]:
    return sorted(one.plain[:2] for one in found)


def sent(found: Found, gathered: Gathered) -> int:
    """How many bytes it travels as; what arrives is what was sent."""
    record = record_of(found)
    base = gathered[record.base] if record.base else None
    arrived = pack.unpack(record.encoding, record.payload, record.plain_length, base, PLAIN_LIMIT)
    assert arrived == found.plain
    return len(record.payload)


# ------------------------------------------------------------------- the tree


def test_what_a_plain_writer_makes_of_the_nodes_has_the_same_root(work: Path, tmp_path: Path) -> None:
    """Every entry can be put back from the nodes alone: files, modes, links, empty directories."""
    (work / "empty").mkdir()
    (work / "big.log").write_bytes(LINES * 4)
    os.link(work / "report.md", work / "same.md")
    Path(os.fsdecode(os.fsencode(work) + b"/caf\xe9.txt")).write_bytes(b"latin")
    gathered = Gathered()
    snapshot, _ = gathered.take(Workspace(work))
    gathered.write(snapshot.root, tmp_path / "again")
    assert fresh(tmp_path / "again") == snapshot.root
    assert (snapshot.files, snapshot.notes) == (6, ())


def test_nothing_changed_gives_nothing(work: Path) -> None:
    """The second snapshot of the same files has the same root and no node."""
    workspace, gathered = Workspace(work), Gathered()
    first, given = gathered.take(workspace)
    assert kinds(given) == [BYTES, BYTES, BYTES, DIRECTORY]
    second, given = gathered.take(workspace)
    assert (second.root, given) == (first.root, [])


def test_small_directories_stand_in_their_parent(work: Path) -> None:
    """A directory becomes a node of its own when its body is over 1 KiB, with what is below it counted."""
    for n in range(40):
        (work / "notes" / f"{n}.txt").write_bytes(b"%d" % n)
    gathered = Gathered()
    _, given = gathered.take(Workspace(work))
    notes, root = (one for one in given if one.plain[:2] == DIRECTORY)
    assert len(notes.plain) > SMALL and (notes.items, notes.length) == (41, 80)
    assert (root.items, root.length) == (43, 80 + 40_000 + 10)


def test_a_copy_and_a_new_name_cost_no_content(work: Path) -> None:
    """Content that is there already under another name is not given again."""
    workspace, gathered = Workspace(work), Gathered()
    gathered.take(workspace)
    shutil.copy(work / "report.md", work / "copy.md")
    (work / "run.sh").rename(work / "notes" / "go.sh")
    _, given = gathered.take(workspace)
    assert kinds(given) == [DIRECTORY]


def test_what_failed_to_be_given_is_given_again(work: Path) -> None:
    """When whoever takes the nodes fails, the snapshot never was."""
    workspace, gathered = Workspace(work), Gathered()

    def full(found: Found) -> None:
        if found.plain[:2] == DIRECTORY:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        workspace.snapshot(full)
    assert len(gathered.take(workspace)[1]) == 4


def test_the_times_alone_change_nothing(work: Path) -> None:
    """A touched file is read again, and is the same."""
    workspace, gathered = Workspace(work), Gathered()
    first, _ = gathered.take(workspace)
    os.utime(work / "report.md", (1, 1))
    second, given = gathered.take(workspace)
    assert (second.root, given) == (first.root, [])


def test_a_write_behind_the_back_of_the_times_is_found(work: Path) -> None:
    """A file that changed without a sign is found before a hundred snapshots are over."""
    workspace = Workspace(work)
    root = workspace.snapshot().root
    folder = workspace.snapshot().folder
    folder.files["report.md"] = msgspec.structs.replace(folder.files["report.md"], name=b"x" * 32, racy=False)
    folder.body = folder.body.replace(b"report", b"retort")
    assert root in {workspace.snapshot().root for _ in range(100)}


# ---------------------------------------------------------------- large files


def test_a_large_file_is_the_tree_of_its_bytes(work: Path) -> None:
    """Above 1 MiB a file is cut as the format says, wherever blocks end."""
    data = LINES * 9
    (work / "big.log").write_bytes(data)
    gathered = Gathered()
    snapshot, _ = gathered.take(Workspace(work))
    expected = files.grown(data, lambda plain, items, length: name_of(plain))
    assert {entry.filename: entry.name for entry in entries_of(gathered[snapshot.root])}[
        b"big.log"
    ] == expected


@pytest.mark.parametrize("at", [0, 2_000_000, len(LINES) * 9])
def test_an_edit_of_a_large_file_gives_the_part_that_it_touched(work: Path, at: int) -> None:
    """What grows or changes by a line costs one or two parts, and those travel as what changed."""
    data, big = LINES * 9, work / "big.log"
    big.write_bytes(data)
    workspace, gathered = Workspace(work), Gathered()
    gathered.take(workspace)
    while not workspace.get_ready(1):
        pass
    data = data[:at] + b"a new line\n" + data[at:]
    big.write_bytes(data)
    snapshot, given = gathered.take(workspace)
    assert snapshot.root == fresh(work)
    assert kinds(given)[0] == BYTES and len(given) <= 4
    for found in given:
        assert sent(found, gathered) < 2_000 or found.plain[:2] == FILE


def test_long_lines_are_cut_the_same_after_an_edit(work: Path) -> None:
    """What is taken over of a large file begins where a first reading would cut as well."""
    words = random.Random(7).choices([b"a", b"order", b"refund", b"delivered,"], k=300_000)
    lines = [b" ".join(words[at : at + 900]) for at in range(0, len(words), 900)]
    big, workspace = work / "wide.csv", Workspace(work)
    for edited in range(0, len(lines), 40):
        lines[edited] = lines[edited][:100] + lines[edited][90:]
        big.write_bytes(b"\n".join(lines))
        assert workspace.snapshot().root == fresh(work)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process's memory is read from /proc")
def test_a_large_file_is_never_whole_in_memory(work: Path) -> None:
    """A process that takes it needs no more memory for fifty times as much."""
    peaks = []
    for times in (2, 100):
        (work / "huge.log").write_bytes(LINES * times)
        peak = subprocess.run([sys.executable, "-c", PEAK, work], capture_output=True, text=True, check=True)
        peaks.append(int(peak.stdout))
    assert peaks[1] - peaks[0] < 8_000


PEAK = """
import re, sys
from pathlib import Path
from sickbay._workspace import Workspace
assert Workspace(sys.argv[1]).snapshot(lambda found: None).new
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


# ------------------------------------------------------------------ afterwards


def test_what_is_known_outlives_a_restart(work: Path, tmp_path: Path) -> None:
    """With the cache, the next start gives nothing that was given before."""
    (tmp_path / "home").mkdir()
    (work / "big.log").write_bytes(LINES * 4)
    before = Workspace(work, home=tmp_path / "home")
    root = before.snapshot().root
    before.save(at_once=True)
    after = Workspace(work, home=tmp_path / "home").snapshot()
    assert (after.root, after.new) == (root, ())


@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
@settings(deadline=None, max_examples=40)
def test_a_damaged_cache_changes_nothing(place: int, bit: int) -> None:
    """A flipped bit costs time, and no truth."""
    with tempfile.TemporaryDirectory() as base:
        work, cache = Path(base) / "work", Path(base) / "workspace.cache"
        work.mkdir()
        (work / "a").write_bytes(LINES[:5_000])
        workspace = Workspace(work, home=Path(base))
        root = workspace.snapshot().root
        workspace.save(at_once=True)
        data = bytearray(cache.read_bytes())
        data[place % len(data)] ^= 1 << bit
        cache.write_bytes(data)
        snapshot = Workspace(work, home=Path(base)).snapshot()
        assert snapshot.root == root and snapshot.new


def test_a_node_is_found_again_while_its_file_is_as_it_was(work: Path) -> None:
    """A node that the server lacks after all is read again, and proven by its name."""
    (work / "big.log").write_bytes(LINES * 4)
    workspace, gathered = Workspace(work), Gathered()
    _, given = gathered.take(workspace)
    for found in given:
        again = workspace.node(found.name)
        assert again and again.plain == found.plain and again.items == found.items
    (work / "run.sh").write_bytes(b"#!/bin/bash\n")
    assert workspace.node(name_of(BYTES + b"#!/bin/sh\n")) is None
    assert workspace.node(b"?" * 32) is None


def test_hand_edits_are_told_by_path(work: Path) -> None:
    """What differs from a snapshot is named, and the snapshot to come still gives all of it."""
    workspace, gathered = Workspace(work), Gathered()
    before, _ = gathered.take(workspace)
    assert workspace.changed_since(before) == []
    (work / "report.md").write_bytes(b"mine")
    (work / "notes" / "todo.txt").unlink()
    (work / "notes" / "todo.txt").mkdir()
    (work / "run.sh").unlink()
    edits = [
        Change("notes/todo.txt", "removed"),
        Change("notes/todo.txt/", "added"),
        Change("report.md", "changed"),
        Change("run.sh", "removed"),
    ]
    assert workspace.changed_since(before) == edits
    assert Workspace(work).changed_since(before.root, gathered.fetch) == edits
    assert kinds(gathered.take(workspace)[1]) == [BYTES, DIRECTORY]


def test_a_changed_file_travels_as_what_changed(work: Path) -> None:
    """The old bytes are gone; their fingerprints, and the old directory, are enough."""
    workspace, gathered = Workspace(work), Gathered()
    gathered.take(workspace)
    (work / "report.md").write_bytes(LINES[:20_000] + b"something new\n" + LINES[20_000:40_000])
    _, given = gathered.take(workspace)
    for found in given:
        assert sent(found, gathered) < 300


# -------------------------------------------------------------------- any life

NAMES = st.sampled_from(["a", "b", "c.txt", "d/e", "d/f", "d/g/h", "ü", "\udcff"])
CONTENT = st.one_of(
    st.binary(max_size=40),
    st.integers(0, 30).map(lambda n: LINES[:n]),
    st.just(LINES * 3),
    st.just(LINES * 3 + b"!"),
)
STEP = st.one_of(
    st.tuples(st.just("write"), NAMES, CONTENT),
    st.tuples(st.just("link"), NAMES, NAMES),
    st.tuples(st.sampled_from(["drop", "mode", "old", "snap", "restart"]), NAMES, st.just(b"")),
)


@given(steps=st.lists(STEP, max_size=14))
@settings(deadline=None, max_examples=40)
def test_a_snapshot_is_a_function_of_the_disk_alone(steps: list[tuple[str, str, str | bytes]]) -> None:
    """Whatever happened before and is remembered: the root is that of a first look, and comes back."""
    with tempfile.TemporaryDirectory() as base:
        work, home, gathered = Path(base) / "work", Path(base), Gathered()
        work.mkdir()
        workspace = Workspace(work, home=home)
        for verb, name, what in [*steps, ("snap", "a", b"")]:
            if verb == "restart":
                workspace.save(at_once=True)
                workspace = Workspace(work, home=home)
            elif verb == "snap":
                snapshot = workspace.snapshot(gathered.emit)
                assert snapshot.root == fresh(work)
            else:
                with contextlib.suppress(OSError):
                    happens(verb, work / name, what)
        gathered.write(snapshot.root, Path(base) / "again")
        assert fresh(Path(base) / "again") == snapshot.root


def happens(verb: str, path: Path, what: str | bytes) -> None:
    """One thing that an agent does to a file."""
    path.parent.mkdir(exist_ok=True)
    if verb == "write" and isinstance(what, bytes):
        path.write_bytes(what)
    elif verb == "link":
        path.symlink_to(what if isinstance(what, str) else "x")
    elif verb == "drop":
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    elif verb == "mode":
        path.chmod(0o755 if path.stat().st_mode & 0o100 == 0 else 0o644)
    elif verb == "old":
        os.utime(path, (1, 1))
