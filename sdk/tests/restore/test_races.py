"""Who swaps directories for links, before or in the middle of it, leads no write outside."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sdk.tests.restore.trees import Store, entry, kinds, lay, on_disk
from sdk.tests.restore.victim import BEFORE, Victim
from sickbay._errors import RestoreRefused, RestoreUnfinished
from sickbay._restore import restore


def test_our_own_directory_is_no_link(victim: Victim) -> None:
    """A `.sickbay` that leads elsewhere, or is a file, is not written to."""
    for make in (lambda at: at.symlink_to(victim.outside), lambda at: at.write_bytes(b"x")):
        make(victim.work / ".sickbay")
        with pytest.raises(RestoreRefused, match=r"\.sickbay"):
            restore(victim.work, victim.store.forged(entry(b"a")), victim.store)
        (victim.work / ".sickbay").unlink()
    assert os.listdir(victim.outside) == ["treasure"]


@pytest.mark.parametrize("inner", ["stage", "aside", "journal", "journal.new"])
def test_nothing_in_our_own_directory_is_followed(victim: Victim, inner: str) -> None:
    """Links planted where the stage, the journal or the aside would be do not lead our writes out."""
    (victim.work / ".sickbay").mkdir()
    (victim.work / ".sickbay" / inner).symlink_to(victim.outside / ("treasure" if "j" in inner else ""))
    root = victim.store.forged(entry(b"a"))
    if inner in ("aside", "journal"):
        with pytest.raises(RestoreRefused):
            restore(victim.work, root, victim.store)
        assert on_disk(victim.work) == kinds(BEFORE)
    else:
        restore(victim.work, root, victim.store)
        assert on_disk(victim.work) == kinds({"a": b"hello\n"})
    assert on_disk(victim.outside) == kinds({"treasure": b"gold"})


@pytest.mark.parametrize("failpoint", ["after_plan", "kept", "drop", "hollow", "make", "put", "in_place"])
@pytest.mark.parametrize("swapped", ["data", "data/deep", "data/deep/er"])
def test_a_swapped_parent_does_not_lead_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failpoint: str, swapped: str
) -> None:
    """A directory that becomes a link in the middle of it: nothing outside is written or removed."""
    from sickbay import _redo, _restore

    work, outside = tmp_path / "work", tmp_path / "outside"
    lay(
        work,
        {
            "data": {
                "deep": {"er": {"x": b"old", "gone": b"gone", "g": {"h": b"h"}}, "x": b"old"},
                "x": b"old",
            }
        },
    )
    lay(
        outside,
        {
            "x": b"gold",
            "gone": b"gold",
            "g": {"h": b"gold"},
            "deep": {"er": {"x": b"gold"}},
            "er": {"x": b"g"},
        },
    )
    treasure, store = on_disk(outside), Store()
    root = store.grow({"data": {"deep": {"er": {"x": b"new", "m": {"n": b"n"}}, "x": b"new"}, "x": b"new"}})

    def swap(name: str) -> None:
        if name == f"restore:{failpoint}" and not (work / swapped).is_symlink():
            (work / swapped).rename(tmp_path / "moved")
            (work / swapped).symlink_to(outside)

    for module in (_redo, _restore):
        monkeypatch.setattr(module, "failpoint", swap)
    try:
        restore(work, root, store)
    except RestoreUnfinished as error:
        assert "cannot" in error.reason
    assert on_disk(outside) == treasure
