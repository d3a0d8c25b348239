"""Laws of what a snapshot leaves out, by rule, by limit or by nature, and of how it says so."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdk.tests.gathered import Gathered, fresh
from sickbay._folder import Folder, Kept, WorkspaceRefused, closed
from sickbay._walk import Limits
from sickbay._workspace import Workspace
from sickbay.tree.directory import SYMLINK, entries_of


def test_special_files_are_named_and_left(work: Path) -> None:
    """A pipe and a socket are no part of a snapshot, and it says so."""
    os.mkfifo(work / "pipe")
    with socket.socket(socket.AF_UNIX) as listening, contextlib.chdir(work):
        listening.bind("socket")
        snapshot = Workspace(work).snapshot()
    assert sorted(snapshot.notes) == [
        "pipe is a named pipe: it is left as it is",
        "socket is a socket: it is left as it is",
    ]


@pytest.mark.parametrize("target", ["/etc/passwd", "..", "../work2/x", "notes/../../x", "/"])
def test_a_link_that_leads_out_is_left(work: Path, target: str) -> None:
    """Links stay links; one that leads out of the workspace would be refused at a rollback."""
    root = fresh(work)
    (work / "out").symlink_to(target)
    snapshot = Workspace(work).snapshot()
    assert snapshot.root == root
    assert snapshot.left == {"out": "is a link that leads out of the workspace"}


def test_a_link_is_never_followed(work: Path, tmp_path: Path) -> None:
    """A link to a directory is one entry; the workspace itself may be reached by one."""
    (work / "alias").symlink_to("notes")
    (tmp_path / "door").symlink_to(work)
    gathered = Gathered()
    snapshot, _ = gathered.take(Workspace(tmp_path / "door"))
    entries = {entry.filename: entry for entry in entries_of(gathered[snapshot.root])}
    assert entries[b"alias"].body == b"notes"
    assert snapshot.root == fresh(work)


def test_what_cannot_be_read_is_named(work: Path) -> None:
    """A file or directory without permission is left out, and the rest is kept."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        shutil.copytree(work, Path(place) / "work", symlinks=True)
        shut = Path(place) / "work"
        (shut / "report.md").chmod(0)
        (shut / "notes").chmod(0)
        (shut / "listed").mkdir()
        (shut / "listed" / "x").touch()
        (shut / "listed").chmod(0o444)
        with ordinary_user():
            snapshot = Workspace(shut).snapshot()
        shut.chmod(0o444)
        with ordinary_user(), pytest.raises(WorkspaceRefused, match="may this process enter"):
            Workspace(shut).snapshot()
        shut.chmod(0o755)
    assert snapshot.files == 1
    assert set(snapshot.left) == {"report.md", "notes/", "listed/"}
    assert set(snapshot.left.values()) == {"cannot be read (permission denied)"}


@contextlib.contextmanager
def ordinary_user() -> Iterator[None]:
    """Root may read anything: be somebody else."""
    me = os.geteuid()
    if me == 0:
        os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(me)


def test_what_is_too_large_or_too_deep_is_named(work: Path) -> None:
    """A limit of one file, or of depth, leaves out what is beyond it."""
    (work / "a" / "b" / "c").mkdir(parents=True)
    limits = Limits(file=10_000, depth=2)
    workspace = Workspace(work, limits=limits)
    for _ in range(2):
        assert workspace.snapshot().left == {
            "report.md": "has 40,000 bytes, and the limit of one file is 10,000",
            "a/b/c/": "lies more than 2 directories deep",
        }


def test_too_much_is_no_snapshot(work: Path) -> None:
    """Half a workspace would be a state that never was: there is none, and a sentence."""
    assert Workspace(work, limits=Limits(names=5, total=40_100)).snapshot().files == 3
    with pytest.raises(WorkspaceRefused, match="more than 4 files and directories, too much"):
        Workspace(work, limits=Limits(names=4)).snapshot()
    with pytest.raises(WorkspaceRefused, match="more than 40,000 bytes, too much"):
        Workspace(work, limits=Limits(total=40_000)).snapshot()


def test_a_directory_with_too_many_names_is_no_snapshot() -> None:
    """One that would be larger than a node may be is named."""
    link = Kept((0, 0, 1, 0, 0), SYMLINK, 0, b"", b"x")
    notes = Folder("notes/", {f"{n:0250}": link for n in range(33_500)})
    with pytest.raises(WorkspaceRefused, match="the directory 'notes/' has too many names"):
        closed(notes, None, lambda found: None)


def test_a_workspace_that_is_gone_is_refused(work: Path) -> None:
    """An unmounted workspace is not an empty one."""
    workspace = Workspace(work)
    workspace.snapshot()
    shutil.rmtree(work)
    with pytest.raises(WorkspaceRefused, match="is it mounted"):
        workspace.snapshot()


def test_at_most_twenty_notes(work: Path) -> None:
    """A checkpoint carries twenty sentences; the last one counts the others."""
    for n in range(30):
        os.mkfifo(work / f"pipe{n}")
    snapshot = Workspace(work).snapshot()
    assert len(snapshot.notes) == 20 and snapshot.notes[-1] == "and 11 others"
    assert len(snapshot.left) == 30


def test_a_name_is_shown_without_its_tricks(work: Path) -> None:
    """Control and direction characters of a name are spelled out in a note."""
    os.mkfifo(work / "a\x1b[2J\u202eb")
    assert Workspace(work).snapshot().notes == ("a\\x1b[2J\\u202eb is a named pipe: it is left as it is",)


def test_ours_and_the_defaults_are_ignored(work: Path) -> None:
    """Journal, caches, repositories and keys stay out; a rule takes a default back, but not ours."""
    root = fresh(work)
    for name in (".sickbay/stage/x", "notes/.sickbay/x", ".git/HEAD", "a/__pycache__/x.pyc", ".env"):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_bytes(b"x")
    (work / "a" / "__pycache__" / "x.pyc").unlink()
    shutil.rmtree(work / "a")
    assert fresh(work) == root
    assert Workspace(work, ignore=["!.git", "!.sickbay"]).snapshot().files == 4
    assert Workspace(work, ignore=["!.git", "!.sickbay", "*.md"]).snapshot().files == 3


def test_new_rules_hold_at_once(work: Path) -> None:
    """Rules that change bring in what they ignored, and leave out what they did not."""
    workspace = Workspace(work)
    counts = []
    for text in ("", "notes\n", "*.md\n!report.md\n", "[\n"):
        (work / ".sickbayignore").write_text(text)
        counts.append(workspace.snapshot().files)
        workspace.changed_since(workspace.snapshot())
        assert workspace.snapshot().root == fresh(work)
    assert counts == [4, 3, 4, 4]
    assert workspace.snapshot().notes == ("the rule '[' is not used: a bracket or a backslash stands alone",)


def test_a_snapshot_can_be_asked_for_under_other_rules(work: Path) -> None:
    """After a rollback the files are judged by the rules that the checkpoint had."""
    (work / ".sickbayignore").write_text("notes\n")
    workspace = Workspace(work)
    assert workspace.snapshot().files == 3
    assert workspace.snapshot(rules=b"").files == 4
    assert workspace.snapshot().files == 3


def test_the_home_is_no_part_of_the_workspace(work: Path) -> None:
    """A rollback never touches the agent's own spool, even where it was put into the workspace."""
    root = fresh(work)
    home = work / "state" / "refund-desk" / "main"
    home.mkdir(parents=True)
    workspace = Workspace(work, home=home)
    assert workspace.snapshot().root == root
    workspace.save(at_once=True)
    assert workspace.snapshot().root == root
