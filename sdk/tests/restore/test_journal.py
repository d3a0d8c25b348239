"""The journal: once the plan is written it is carried out, whoever dies or stands in the way."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from sdk.tests.restore.meddling import AFTER, BEFORE, Died, at, died
from sdk.tests.restore.trees import Store, kinds, lay, on_disk
from sickbay import _restore
from sickbay._errors import RestoreRefused, RestoreUnfinished
from sickbay._restore import restore


def test_a_plan_is_finished_by_the_next_start(
    work: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the plan is written it will be carried out; the result is told as if nothing had happened."""
    at(monkeypatch, "restore:after_plan", died)
    with pytest.raises(Died):
        restore(work, store.grow(BEFORE), store, id="r1")
    assert on_disk(work) == kinds(AFTER)
    assert _restore.is_pending(work)
    done = _restore.finish(work)
    assert on_disk(work) == kinds(BEFORE)
    lay(tmp_path / "other", AFTER)
    assert done and replace(done, aside=None) == replace(
        restore(tmp_path / "other", store.grow(BEFORE), store, id="r1"), aside=None
    )
    assert _restore.finish(work) is None


def test_a_new_restore_finishes_the_old_one_first(
    work: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever comes next, it finds the workspace whole."""
    at(monkeypatch, "restore:put", died)
    with pytest.raises(Died):
        restore(work, store.grow(BEFORE), store)
    at(monkeypatch, "", died)
    with pytest.raises(RestoreRefused):
        restore(work, b"\0" * 32, store)
    assert on_disk(work) == kinds(BEFORE)


def test_a_torn_plan_is_no_plan(work: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not written to its end has not begun: the workspace is the old one, and nothing is pending."""
    at(monkeypatch, "restore:plan_staged", died)
    with pytest.raises(Died):
        restore(work, store.grow(BEFORE), store)
    (work / ".sickbay/journal.new").write_bytes(b"sickbay journal 1 torn")
    assert _restore.finish(work) is None
    assert on_disk(work) == kinds(AFTER)
    restore(work, store.grow(BEFORE), store)
    assert sorted(os.listdir(work / ".sickbay")) == ["aside"]


def test_a_damaged_plan_is_said_and_can_be_replaced(
    work: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any flipped bit of a plan that has begun is found; only another whole restore gets over it."""
    at(monkeypatch, "restore:drop", died)
    with pytest.raises(Died):
        restore(work, store.grow(BEFORE), store)
    journal = work / ".sickbay/journal"
    whole = journal.read_bytes()
    for place in range(0, len(whole), 7):
        journal.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        with pytest.raises(RestoreUnfinished, match="damaged"):
            _restore.finish(work)
    at(monkeypatch, "", died)
    restore(work, store.grow(BEFORE), store)
    assert on_disk(work) == kinds(BEFORE)
    assert not _restore.is_pending(work)


def test_a_damaged_stage_is_never_put_into_place(
    work: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A staged file whose bytes changed is found; with the tree at hand it is staged again."""
    at(monkeypatch, "restore:after_plan", died)
    with pytest.raises(Died):
        restore(work, store.grow(BEFORE), store)
    for staged in (work / ".sickbay/stage").glob("*/[0-9]*"):
        if not staged.is_symlink():
            staged.write_bytes(b"rotten")
    with pytest.raises(RestoreUnfinished, match="neither staged"):
        _restore.finish(work)
    assert on_disk(work) == kinds(AFTER)
    _restore.finish(work, store)
    assert on_disk(work) == kinds(BEFORE)


def test_what_is_in_the_way_later_is_named(work: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restore that cannot go on says where, stays pending, and goes on when there is room."""

    def meanwhile() -> None:
        (work / "data/2.csv").mkdir()
        lay(work / "data/2.csv", {"x": b"x"})

    at(monkeypatch, "restore:after_plan", meanwhile)
    with pytest.raises(RestoreUnfinished, match=r"data/2\.csv") as told:
        restore(work, store.grow(BEFORE), store)
    assert told.value.path == "data/2.csv"
    for _ in range(2):
        with pytest.raises(RestoreUnfinished, match=r"data/2\.csv"):
            _restore.finish(work)
    (work / "data/2.csv").rename(work.parent / "elsewhere")
    _restore.finish(work)
    assert on_disk(work) == kinds(BEFORE)
