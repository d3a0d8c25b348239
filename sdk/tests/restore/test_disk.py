"""Disks that are full, read-only, or not there: a refusal, not a corruption."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sdk.tests.restore.trees import Spec, Store, kinds, lay, on_disk
from sickbay import _restore, _stage
from sickbay._errors import RestoreRefused, RestoreUnfinished
from sickbay._restore import restore

OLD: Spec = {"a": b"old", "d": {"b": b"old", "c": b"old"}, "same": b"s"}
NEW: Spec = {"a": b"new", "d": {"b": b"new", "e": {"f": b"new"}}, "same": b"s"}

Mount = Callable[..., Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Small file systems of their own; skips where this machine does not permit them."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root may mount a small file system")
    mounted: list[Path] = []

    def mount(where: Path, options: str) -> Path:
        where.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(where)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"this machine permits no mounting: {done.stderr.strip()}")
        mounted.append(where)
        return where

    yield mount
    for where in reversed(mounted):
        subprocess.run(["umount", "-l", str(where)], check=False)


@pytest.fixture
def store() -> Store:
    return Store()


def fill(where: Path, leave: int = 0) -> None:
    """Fill a disk to the last byte but some."""
    with open(where / "filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            file.truncate(max(0, file.tell() - leave))


def test_too_large_for_the_disk_is_refused_at_once(mount: Mount, tmp_path: Path, store: Store) -> None:
    """What does not fit is not begun: the sentence says how much is needed and how much is free."""
    work = mount(tmp_path / "work", "size=1m")
    lay(work, OLD)
    root = store.grow({"big": os.urandom(3 << 20)})
    with pytest.raises(RestoreRefused, match="too full: 3,") as told:
        restore(work, root, store)
    assert "make room" in told.value.what_to_do
    assert on_disk(work) == kinds(OLD)
    assert not list((work / ".sickbay/stage").glob("*"))


@pytest.mark.parametrize("leave", [0, 4096, 8192, 16384, 24576, 32768, 40960])
def test_a_disk_that_fills_up_is_a_refusal(
    mount: Mount, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, leave: int
) -> None:
    """Wherever it fills up before the plan, the old state is intact; after it, the next attempt finishes."""
    work = mount(tmp_path / "work", "size=1m")
    lay(work, OLD | {"filler": b""})
    root = store.grow(NEW | {"filler": b"", "more": {f"m{n}": b"x" * 3_000 for n in range(4)}})
    monkeypatch.setattr(_restore, "_has_room", lambda place, changes: None)
    fill(work, leave)
    try:
        restore(work, root, store, scope=["a", "d", "more"])
    except RestoreRefused as refused:
        assert "No space left" in str(refused)
        assert {**on_disk(work), "filler": 0} == {**kinds(OLD), "filler": 0}
        assert not _restore.is_pending(work)
    except RestoreUnfinished as unfinished:
        assert "No space left" in str(unfinished)
        assert _restore.is_pending(work)
    (work / "filler").write_bytes(b"")
    if _restore.is_pending(work):
        _restore.finish(work)
    else:
        restore(work, root, store)
    assert on_disk(work)["d"] == kinds(NEW)["d"]
    assert len(on_disk(work)["more"]) == 4


def test_a_disk_without_names_left_is_a_refusal(mount: Mount, tmp_path: Path, store: Store) -> None:
    """Every number of free inodes: old, or pending and then new."""
    refused = unfinished = 0
    for inodes in range(8, 24):
        work = mount(tmp_path / f"work-{inodes}", f"size=4m,nr_inodes={inodes}")
        lay(work, OLD)
        root = store.grow(NEW)
        try:
            restore(work, root, store)
        except RestoreRefused:
            refused += 1
            assert on_disk(work) == kinds(OLD)
        except RestoreUnfinished:
            unfinished += 1
            subprocess.run(["mount", "-o", "remount,nr_inodes=100", str(work)], check=True)
            _restore.finish(work)
            assert on_disk(work) == kinds(NEW)
        else:
            assert on_disk(work) == kinds(NEW)
    assert refused
    print(f"{refused} refused, {unfinished} unfinished")


def test_a_read_only_disk_is_a_refusal(mount: Mount, tmp_path: Path, store: Store) -> None:
    """Nothing can be staged where nothing can be written."""
    work = mount(tmp_path / "work", "size=1m")
    lay(work, OLD)
    subprocess.run(["mount", "-o", "remount,ro", str(work)], check=True)
    with pytest.raises(RestoreRefused, match="Read-only"):
        restore(work, store.grow(NEW), store)
    assert on_disk(work) == kinds(OLD)


def test_a_disk_that_goes_read_only_after_the_plan(
    mount: Mount, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays pending, names the file, and is finished when the disk can be written again."""
    work = mount(tmp_path / "work", "size=1m")
    lay(work, OLD)

    def remount(name: str) -> None:
        if name == "restore:after_plan":
            subprocess.run(["mount", "-o", "remount,ro", str(work)], check=True)

    monkeypatch.setattr(_restore, "failpoint", remount)
    with pytest.raises(RestoreUnfinished, match="Read-only"):
        restore(work, store.grow(NEW), store)
    with pytest.raises(RestoreUnfinished, match="Read-only"):
        _restore.finish(work)
    assert _restore.is_pending(work)
    subprocess.run(["mount", "-o", "remount,rw", str(work)], check=True)
    _restore.finish(work)
    assert on_disk(work) == kinds(NEW)


def test_an_unmounted_workspace_is_noticed(mount: Mount, tmp_path: Path, store: Store) -> None:
    """The empty directory under a mount point is not filled with the agent's files."""
    work = mount(tmp_path / "work", "size=1m")
    lay(work, OLD)
    mark = _restore.mark_of(work)
    subprocess.run(["umount", str(work)], check=True)
    for call in (
        lambda: restore(work, store.grow(NEW), store, mark=mark),
        lambda: _restore.finish(work, mark=mark),
    ):
        with pytest.raises(RestoreRefused, match="mounted"):
            call()
    assert os.listdir(work) == []


def test_another_disk_within_is_not_reached_over(mount: Mount, tmp_path: Path, store: Store) -> None:
    """What differs on another file system is refused before anything is done; what does not is no matter."""
    work = tmp_path / "work"
    lay(work, {**OLD, "d": {}})
    mount(work / "d", "size=1m")
    lay(work / "d", OLD["d"])
    with pytest.raises(RestoreRefused, match="another file system") as told:
        restore(work, store.grow(NEW), store)
    assert told.value.path == "d"
    assert on_disk(work) == kinds(OLD)
    restore(work, store.grow({**OLD, "a": b"new"}), store)
    assert on_disk(work)["a"] == (bytes, b"new")


def test_a_file_that_cannot_be_replaced_is_named(tmp_path: Path, store: Store) -> None:
    """An immutable file: the restore stays pending with its name, and goes on when it gives way."""
    work = tmp_path / "work"
    lay(work, OLD)
    if subprocess.run(["chattr", "+i", str(work / "d/c")], capture_output=True).returncode:
        pytest.skip("no file can be made immutable here")
    try:
        with pytest.raises(RestoreUnfinished) as told:
            restore(work, store.grow(NEW), store)
        assert told.value.path == "d/c"
        with pytest.raises(RestoreUnfinished, match="d/c"):
            _restore.finish(work)
    finally:
        subprocess.run(["chattr", "-i", str(work / "d/c")], check=True)
    _restore.finish(work)
    assert on_disk(work) == kinds(NEW)


READ_ONLY = """
import os, pickle, sys
from pathlib import Path
work, nodes, root = sys.argv[1:]
from sickbay import _restore
known = pickle.loads(Path(nodes).read_bytes())
os.setgid(65534), os.setuid(65534)
try:
    _restore.restore(Path(work), bytes.fromhex(root), lambda names: known)
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_read_only_directory_is_a_refusal(tmp_path: Path, store: Store) -> None:
    """A directory that this user may not write is named before anything is done."""
    import pickle
    import tempfile

    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody else")
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o777)
        work, nodes = Path(directory) / "work", Path(directory) / "nodes"
        lay(work, OLD)
        root = store.grow(NEW)
        nodes.write_bytes(pickle.dumps(store.nodes))
        for path in (work, *work.rglob("*"), nodes):
            os.chown(path, 65534, 65534)
        (work / "d").chmod(0o555)
        command = [sys.executable, "-c", READ_ONLY, str(work), str(nodes), root.hex()]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert said.startswith("RestoreRefused d may not be written"), said
        assert on_disk(work) == kinds(OLD)
        (work / "d").chmod(0o755)
        (work / "a").chmod(0o444)
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""
        assert on_disk(work) == kinds(NEW)


def test_a_file_that_may_not_grow_is_a_refusal(tmp_path: Path, store: Store) -> None:
    """A limit on the size of files, wherever it bites while staging: the old state is intact."""
    import signal

    work = tmp_path / "work"
    lay(work, OLD)
    root = store.grow({**NEW, "big": b"x" * 100_000})
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        for limit in (2, 1_000, 99_999):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
            with pytest.raises(RestoreRefused, match="File too large"):
                restore(work, root, store)
            assert on_disk(work) == kinds(OLD)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    restore(work, root, store)
    assert (work / "big").stat().st_size == 100_000


@pytest.mark.parametrize("call", range(1, 61))
def test_any_write_that_fails(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """Whichever write, link, fsync, rename or removal fails: old and clean, or pending and then new."""
    import errno

    work, left = tmp_path / "work", [call]
    lay(work, OLD)
    root = store.grow(NEW)
    with monkeypatch.context() as patched:
        for name in ("write", "fsync", "rename", "mkdir", "unlink", "rmdir", "symlink"):
            patched.setattr(os, name, _failing(getattr(os, name), left, OSError(errno.ENOSPC, "full")))
        try:
            restore(work, root, store)
        except RestoreRefused:
            assert on_disk(work) == kinds(OLD)
            assert not _restore.is_pending(work)
        except RestoreUnfinished:
            assert _restore.is_pending(work)
    if _restore.finish(work) is None and on_disk(work) == kinds(OLD):
        restore(work, root, store)
    assert on_disk(work) == kinds(NEW)
    with _restore._place.held(work) as place:
        _stage.cleared(place)
    assert set(os.listdir(work / ".sickbay")) <= {"aside", "journal.new"}


def _failing(function: Callable[..., object], left: list[int], error: OSError) -> Callable[..., object]:
    def failing(*args: object, **more: object) -> object:
        left[0] -= 1
        if left[0] == 0:
            raise error
        return function(*args, **more)

    return failing
