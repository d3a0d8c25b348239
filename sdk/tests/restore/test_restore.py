"""A restore: the files are those of the tree, and nothing else was touched."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from sdk.tests.restore.meddling import AFTER, BEFORE, at
from sdk.tests.restore.trees import Link, Program, Spec, Store, kinds, lay, on_disk, snapped
from sickbay import _changes, _restore
from sickbay._errors import BadArgument, RestoreRefused
from sickbay._restore import foresee, mark_of, restore


def test_the_files_are_those_of_the_tree(work: Path, store: Store) -> None:
    """Contents, executable bits, links, empty directories: all as they were, and what came later is gone."""
    done = restore(work, store.grow(BEFORE), store)
    assert on_disk(work) == kinds(BEFORE)
    assert done.written == ("data/2.csv", "latest", "notes.md", "run.sh")
    assert done.removed == ("data/deep/er/x", "junk")


def test_what_does_not_differ_is_not_touched(work: Path, store: Store) -> None:
    """A file that is as it should be keeps its inode and its times, and its content is not fetched."""
    before = (work / "data/1.csv").stat()
    restore(work, store.grow(BEFORE), store)
    assert (work / "data/1.csv").stat() == before
    assert store.file(b"1,2\n") not in store.asked


def test_a_second_restore_changes_nothing(work: Path, store: Store) -> None:
    """Restoring what is there already is no work."""
    root = store.grow(BEFORE)
    restore(work, root, store)
    again = restore(work, root, store)
    assert (again.written, again.removed, again.kept) == ((), (), ())


def test_nothing_is_left_of_it(work: Path, store: Store) -> None:
    """Neither stage nor journal remains."""
    restore(work, store.grow(BEFORE), store, keep_aside=False)
    assert os.listdir(work / ".sickbay") == []


def test_large_files_come_back(tmp_path: Path, store: Store) -> None:
    """A file of many nodes is put together, byte for byte."""
    content = b"".join(b"%d,%d\n" % (n, n * n) for n in range(400_000))
    restore(tmp_path, store.grow({"big": content}), store)
    assert (tmp_path / "big").read_bytes() == content


def test_file_and_directory_change_places(tmp_path: Path, store: Store) -> None:
    """Where a directory was comes a file, where a file was a directory, where a link was either."""
    work = tmp_path / "work"
    lay(work, {"a": {"b": {"c": b"c"}}, "d": b"d", "e": Link(b"d"), "f": Link(b"a"), "g": b"g"})
    spec: Spec = {"a": b"a", "d": {"x": b"x"}, "e": {"y": {}}, "f": b"f", "g": Link(b"f")}
    restore(work, store.grow(spec), store)
    assert on_disk(work) == kinds(spec)


def test_what_snapshots_leave_out_stays(work: Path, store: Store) -> None:
    """A directory that goes stays for the sake of what is ignored in it, and the ignored is not touched."""
    lay(work / "data/deep", {"cache.tmp": b"cached"})
    done = restore(
        work, store.grow(BEFORE), store, rules=lambda text: lambda path, found: path.endswith(b".tmp")
    )
    assert (work / "data/deep/cache.tmp").read_bytes() == b"cached"
    assert not (work / "data/deep/er").exists()
    assert done.stays == ("data/deep/cache.tmp",)
    assert done.rules == b"\n/data/deep/"


def test_the_rules_are_those_of_the_tree(work: Path, store: Store) -> None:
    """Which files stay is decided by the `.sickbayignore` that comes back: the next snapshot goes by it."""
    lay(work, {".sickbayignore": b"nothing"})
    heard: list[bytes] = []

    def rules(text: bytes) -> _changes.LeavesOut:
        heard.append(text)
        return lambda path, found: path == text.strip()

    restore(work, store.grow({".sickbayignore": b"junk\n"}), store, rules=rules)
    assert heard == [b"junk\n"]
    assert (work / "junk").exists()


def test_pipes_sockets_and_links_out_stay(work: Path, store: Store) -> None:
    """What no snapshot can hold is not removed."""
    os.mkfifo(work / "pipe")
    (work / "out").symlink_to("/etc/hosts")
    done = restore(work, store.grow(BEFORE), store)
    assert stat.S_ISFIFO((work / "pipe").stat().st_mode)
    assert done.stays == ("out", "pipe")


def test_what_is_in_the_way_goes_aside(work: Path, store: Store, tmp_path: Path) -> None:
    """A pipe, a link out, a directory with ignored files: where something else comes they are moved."""
    os.mkfifo(work / "a")
    (work / "b").symlink_to(tmp_path)
    lay(work, {"c": {"d": {"secret.tmp": b"mine"}}})
    spec: Spec = {"a": b"a", "b": {"x": b"x"}, "c": b"c"}
    done = restore(
        work, store.grow(spec), store, id="r1", rules=lambda text: lambda path, found: path.endswith(b".tmp")
    )
    assert on_disk(work) == kinds(spec)
    assert {"a", "b", "c/d/secret.tmp"} <= set(done.kept)
    assert (work / ".sickbay/aside/r1/c/d/secret.tmp").read_bytes() == b"mine"
    assert os.listdir(tmp_path) == ["work"]


# ----------------------------------------------------------------- hand edits


def test_hand_edits_are_kept_aside(work: Path, store: Store) -> None:
    """What was changed or made since the last snapshot is kept and named; what a snapshot has is not."""
    known = snapped(work)
    (work / "notes.md").write_bytes(b"by hand\n")
    lay(work, {"new.md": b"new by hand\n"})
    done = restore(work, store.grow(BEFORE), store, id="r1", current=known)
    assert done.kept == ("new.md", "notes.md")
    assert done.aside == work / ".sickbay/aside/r1"
    assert (done.aside / "notes.md").read_bytes() == b"by hand\n"
    assert (done.aside / "new.md").read_bytes() == b"new by hand\n"
    assert on_disk(work) == kinds(BEFORE)


def test_touched_files_are_no_hand_edits(work: Path, store: Store) -> None:
    """A file with new times and the old bytes is not kept aside."""
    known = snapped(work)
    os.utime(work / "notes.md", (1, 1))
    assert restore(work, store.grow(BEFORE), store, current=known).kept == ()


def test_without_a_snapshot_everything_replaced_is_kept(work: Path, store: Store) -> None:
    """On a host that knows nothing, nothing that differs is lost."""
    done = restore(work, store.grow(BEFORE), store)
    assert done.kept == ("data/deep/er/x", "junk", "latest", "notes.md", "run.sh")
    assert done.aside and os.readlink(done.aside / "latest") == "data/9.csv"


def test_the_same_rollback_keeps_in_another_place(work: Path, store: Store) -> None:
    """What was kept aside once is never replaced."""
    root = store.grow(BEFORE)
    first = restore(work, root, store, id="r1")
    (work / "notes.md").write_bytes(b"again\n")
    second = restore(work, root, store, id="r1")
    assert first.aside and (first.aside / "notes.md").read_bytes() == b"forget\n"
    assert second.aside and (second.aside / "notes.md").read_bytes() == b"again\n"


def test_an_edit_after_the_plan_is_kept(work: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who edits a file while it is being restored finds the edit aside."""
    known = snapped(work)
    at(monkeypatch, "restore:after_plan", lambda: (work / "notes.md").write_bytes(b"meanwhile, by hand\n"))
    done = restore(work, store.grow(BEFORE), store, current=known)
    assert done.kept == ("notes.md",)
    assert done.aside and (done.aside / "notes.md").read_bytes() == b"meanwhile, by hand\n"


# ---------------------------------------------------------------------- scope


def test_only_what_was_asked_for_is_restored(work: Path, store: Store) -> None:
    """One file, one directory: the rest stays as it is."""
    done = restore(work, store.grow(BEFORE), store, scope=["notes.md", "data/"])
    now = on_disk(work)
    assert now["data"] == kinds(BEFORE)["data"]
    assert now["notes.md"] == (bytes, b"remember\n")
    assert {name: now[name] for name in ("junk", "run.sh", "latest")} == {
        name: kinds(AFTER)[name] for name in ("junk", "run.sh", "latest")
    }
    assert done.written == ("data/2.csv", "notes.md")


def test_one_file_that_the_tree_has_not_goes(work: Path, store: Store) -> None:
    """A path in scope that is not in the checkpoint is removed, with nothing beside it."""
    assert restore(work, store.grow(BEFORE), store, scope=["data/deep/er/x"]).removed == ("data/deep/er/x",)
    assert on_disk(work)["data"]["deep"] == {"er": {}}


def test_directories_on_the_way_are_made(tmp_path: Path, store: Store) -> None:
    """A file in scope comes back with the directories above it, and without its neighbours."""
    restore(tmp_path, store.grow({"a": {"b": {"c": b"c", "d": b"d"}, "e": {}}}), store, scope=["a/b/c"])
    assert on_disk(tmp_path) == kinds({"a": {"b": {"c": b"c"}}})


@pytest.mark.parametrize(
    "path", ["nowhere", "../work/junk", "/etc/hosts", "", ".sickbay/mark", "data/../junk"]
)
def test_a_scope_that_is_no_path_is_refused(work: Path, store: Store, path: str) -> None:
    """What is in neither, or outside, cannot be asked for."""
    with pytest.raises(RestoreRefused):
        restore(work, store.grow(BEFORE), store, scope=[path])
    assert on_disk(work) == kinds(AFTER)


# ---------------------------------------------------------------- permissions


def test_permissions_stay_and_the_executable_bit_comes_back(work: Path, store: Store) -> None:
    """A private file stays private; only whether it runs is the checkpoint's."""
    (work / "notes.md").chmod(0o600)
    (work / "run.sh").chmod(0o640)
    restore(work, store.grow(BEFORE), store)
    assert stat.S_IMODE((work / "notes.md").stat().st_mode) == 0o600
    assert stat.S_IMODE((work / "run.sh").stat().st_mode) == 0o750
    assert stat.S_IMODE((work / "data/2.csv").stat().st_mode) == 0o644


def test_no_file_comes_back_with_more_than_it_had(work: Path, store: Store) -> None:
    """Set-user-id does not survive."""
    (work / "run.sh").chmod(0o4711)
    (work / "run.sh").write_bytes(b"other")
    (work / "run.sh").chmod(0o4711)
    restore(work, store.grow(BEFORE), store)
    assert stat.S_IMODE((work / "run.sh").stat().st_mode) & 0o7000 == 0


# ------------------------------------------------------------ before, and told


def test_it_can_be_foreseen(work: Path, store: Store) -> None:
    """What will be written, removed and kept aside is said beforehand, and nothing of it done."""
    known = snapped(work)
    (work / "junk").write_bytes(b"by hand")
    ahead = foresee(work, store.grow(BEFORE), store, current=known)
    done = restore(work, store.grow(BEFORE), store, current=known)
    assert (ahead.written, ahead.removed, ahead.kept) == (done.written, done.removed, done.kept)
    assert ahead.kept == ("junk",)


def test_what_runs_code_or_steers_agents_is_called_out(work: Path, store: Store) -> None:
    """It comes back as everything does, and is named with the reason."""
    spec: Spec = {
        ".git": {"hooks": {"post-checkout": Program(b"#!/bin/sh\n")}, "HEAD": b"ref"},
        "src": {"CLAUDE.md": b"do", "evil.pth": b"import os", "conftest.py": b"", "main.py": b""},
        "AGENTS.md": b"obey",
        ".envrc": b"export A=1",
    }
    assert dict(restore(work, store.grow(spec), store).called_out) == {
        ".git/hooks/post-checkout": "runs code",
        "src/evil.pth": "runs code",
        "src/conftest.py": "runs code",
        ".envrc": "runs code",
        "src/CLAUDE.md": "steers agents",
        "AGENTS.md": "steers agents",
    }


def test_names_are_shown_safely(tmp_path: Path, store: Store) -> None:
    """No name reaches a page or a terminal as it is."""
    name = "a\x1b[31m\u202egpj.exe\n"
    done = restore(tmp_path, store.grow({name: b"x"}), store)
    assert done.written == ("a\\x1b[31m\\u202egpj.exe\\n",)
    assert (tmp_path / name).read_bytes() == b"x"


def test_names_that_are_no_text_come_back(tmp_path: Path, store: Store) -> None:
    """Bytes are bytes."""
    spec = {os.fsdecode(b"\xff\xfe"): b"x", "e\u0301": b"y", "\u00e9": b"z", " ": b"", "\n": b"", "-rf": b""}
    restore(tmp_path, store.grow(spec), store)
    assert on_disk(tmp_path) == kinds(spec)


def test_a_rollback_has_a_name_that_is_a_name(work: Path, store: Store) -> None:
    """The id is a directory's name, and cannot lead elsewhere."""
    with pytest.raises(BadArgument):
        restore(work, store.grow(BEFORE), store, id="../../x")


# ----------------------------------------------------------------- which place


def test_another_directory_is_not_this_workspace(work: Path, store: Store, tmp_path: Path) -> None:
    """Where the disk is not mounted there is an empty directory: it is not filled, and says so."""
    mark = mark_of(work)
    (tmp_path / "mounted").mkdir()
    for other in (tmp_path / "mounted", tmp_path / "not there"):
        with pytest.raises(RestoreRefused, match="mounted"):
            restore(other, store.grow(BEFORE), store, mark=mark)
        with pytest.raises(RestoreRefused, match="mounted"):
            _restore.finish(other, mark=mark)
    assert os.listdir(tmp_path / "mounted") == []
    mark_of(tmp_path / "mounted")
    with pytest.raises(RestoreRefused, match="not the workspace"):
        restore(tmp_path / "mounted", store.grow(BEFORE), store, mark=mark)
    restore(work, store.grow(BEFORE), store, mark=mark)


def test_only_one_restores(work: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A workspace that is being restored refuses a second restore."""
    refused: list[str] = []

    def second() -> None:
        with pytest.raises(RestoreRefused) as told:
            restore(work, store.grow(AFTER), store)
        refused.append(str(told.value))

    at(monkeypatch, "restore:staged", second)
    restore(work, store.grow(BEFORE), store)
    assert "another process" in refused[0]
    assert on_disk(work) == kinds(BEFORE)
