"""Laws of the state: written twice, never lifted by damage, written on a full disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdk.tests.durable import Clock
from sickbay import _state, budget
from sickbay._state import Pause, StateFile

PAUSE = Pause(
    id="p-1", owner="budget", cause="3 failures in a row, the limit is 3", at=1.0, limit="consecutive"
)


def saved(directory: Path, clock: Clock | None = None, **data: object) -> StateFile:
    file = StateFile(directory, clock or Clock())  # type: ignore[arg-type]
    for name, value in data.items():
        setattr(file.data, name, value)
    assert file.save()
    return file


def loaded(directory: Path, clock: Clock | None = None) -> StateFile:
    return StateFile(directory, clock or Clock())  # type: ignore[arg-type]


def failures(*ats: float) -> budget.Account:
    account = budget.Account()
    for at in ats:
        account = budget.fail(account, budget.Failure(f"r-{at}", "pay", at))
    return account


def test_what_was_saved_is_there_after_a_restart(tmp_path: Path) -> None:
    """Pause, epoch, guidance, account and settlement survive."""
    account = failures(4_000.0, 4_500.0)
    saved(tmp_path, pause=PAUSE, epoch=7, guidance="slowly", account=account, settled={"verb": "resume"})
    data = loaded(tmp_path).data
    assert (data.pause, data.epoch, data.guidance) == (PAUSE, 7, "slowly")
    assert data.account.hour == account.hour and data.settled == {"verb": "resume"}


@pytest.mark.parametrize("name", ["state.json", "state.copy.json"])
@pytest.mark.parametrize("harm", ["torn", "zeros", "empty", "flipped", "gone", "other json"])
def test_one_damaged_file_never_lifts_a_pause(tmp_path: Path, name: str, harm: str) -> None:
    """Whatever befalls one of the two files, the other knows; the damaged one is set aside and said."""
    saved(tmp_path, pause=PAUSE, epoch=7)
    damage(tmp_path / name, harm)
    again = loaded(tmp_path)
    assert again.data.pause == PAUSE and again.data.epoch == 7
    assert harm == "gone" or (again.notes and list(tmp_path.glob("*.damaged")))
    assert again.save() and loaded(tmp_path).data.pause == PAUSE


def test_when_both_are_damaged_it_stays_paused(tmp_path: Path) -> None:
    """If nobody can say whether it was paused, it is."""
    saved(tmp_path)
    for name in ("state.json", "state.copy.json"):
        damage(tmp_path / name, "torn")
    for _ in range(2):
        data = loaded(tmp_path).data
        assert data.pause is not None and data.pause.owner == "detector", "at every start from now on"


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=200))
def test_no_bytes_in_the_files_raise(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    """Any content whatever is either the state or damage."""
    directory = tmp_path_factory.mktemp("state")
    (directory / "state.json").write_bytes(junk)
    (directory / "state.copy.json").write_bytes(_state._checksum(junk) + b"\n" + junk + b"\n")
    assert loaded(directory).data.pause is not None


def test_a_save_without_sync_still_keeps_the_copy_in_step_on_a_pause(tmp_path: Path) -> None:
    """The copy is never behind on a pause, however it was saved."""
    file = saved(tmp_path)
    file.data.pause = PAUSE
    assert file.save(sync=False)
    damage(tmp_path / "state.json", "torn")
    assert loaded(tmp_path).data.pause == PAUSE


def test_under_the_same_boot_failures_keep_their_times(tmp_path: Path) -> None:
    """The wall clock may jump a day either way; the hour is counted by the boot clock."""
    clock = Clock()
    saved(tmp_path, clock, account=failures(4_000.0))
    clock.now += 86_400 * 2
    clock.up += 600
    account = loaded(tmp_path, clock).data.account
    assert budget.hourly(account, 7_599.0) == 1 and budget.hourly(account, 7_601.0) == 0


@pytest.mark.parametrize("jump", ["another boot", "boot clock went back"])
def test_when_boots_or_clocks_disagree_failures_stay_one_full_hour_more(tmp_path: Path, jump: str) -> None:
    """A reboot never shortens the hour."""
    clock = Clock()
    saved(tmp_path, clock, account=failures(4_000.0), crashes=[4_900.0])
    clock.up = 10.0
    if jump == "another boot":
        clock.boot_id = "the next one"
    data = loaded(tmp_path, clock).data
    assert budget.hourly(data.account, 3_609.0) == 1 and budget.hourly(data.account, 3_611.0) == 0
    assert data.crashes == [10.0]


def test_on_a_full_disk_the_reserve_lets_the_pause_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No block is left: the reserve is given up and the pause stands."""
    file = saved(tmp_path)
    write, reserve = os.write, tmp_path / "reserve"

    def full(fd: int, text: bytes) -> int:
        if reserve.exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, text)

    monkeypatch.setattr(os, "write", full)
    file.data.pause = PAUSE
    assert file.save()
    monkeypatch.undo()
    assert loaded(tmp_path).data.pause == PAUSE


def test_a_disk_that_takes_nothing_raises_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without even the reserve, saving says False, and what was there before is whole."""
    file = saved(tmp_path, epoch=7)

    def full(fd: int, text: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    file.data.epoch = 8
    assert file.save() is False and file.failed_saves == 1
    monkeypatch.undo()
    assert loaded(tmp_path).data.epoch == 7
    assert not list(tmp_path.glob("*.new"))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_on_a_disk_that_is_really_full_the_pause_is_written_again_and_again(tmp_path: Path) -> None:
    """With not one block left, pauses and resumes are still saved, and the reserve comes back."""
    if os.system(f"mount -t tmpfs -o size=1m tmpfs {tmp_path} 2>/dev/null"):
        pytest.skip("this machine mounts no tmpfs")
    try:
        file = saved(tmp_path)
        with pytest.raises(OSError), open(tmp_path / "ballast", "wb", buffering=0) as ballast:
            while ballast.write(b"x" * 4096):
                pass
        for number in range(20):
            file.data.pause = Pause(id=f"p-{number}", owner="budget", cause="three", at=1.0)
            assert file.save()
            again = loaded(tmp_path).data.pause
            assert again and again.id == f"p-{number}"
        assert (tmp_path / "reserve").exists()
    finally:
        os.system(f"umount -l {tmp_path}")


def damage(path: Path, harm: str) -> None:
    text = path.read_bytes()
    changed = {
        "torn": text[: len(text) // 2],
        "zeros": b"\0" * len(text),
        "empty": b"",
        "flipped": text.replace(b"budget", b"Budget"),
        "other json": b'{"pause": null}\n',
    }
    path.unlink() if harm == "gone" else path.write_bytes(changed[harm])
