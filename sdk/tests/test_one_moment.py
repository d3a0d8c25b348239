"""What a checkpoint says whose files went on changing while it was taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sdk.tests.desk import works
from sdk.tests.gathered import Gathered
from sdk.tests.test_checkpoints import keeper_of
from sickbay import _looking
from sickbay._workspace import Workspace
from sickbay.testing import Harness


def test_one_that_was_never_still_is_not_good_and_says_why(
    harness: Harness, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A verification does not prove it; its line names the files; the next one is good by that proof."""
    agent = harness.agent(memory={"n": 0}, workspace=work)
    with agent.run() as run:
        with monkeypatch.context() as patched:
            patched.setattr(_looking, "_moved", lambda *given: iter(["b.txt", "a.txt"]))
            run.execute(works, verify=bool)
            taken = run.checkpoint("while writing")
        assert taken.standing == "unproven"
        shelved = keeper_of(agent).shelf.get(taken.id)
        assert shelved is not None and shelved.moving and shelved.ruling.proven
        header = keeper_of(agent).packs.header(shelved.number)
        assert header is not None and header["facts"]["moving"] == ["a.txt", "b.txt"]
        assert run.checkpoint("afterwards").standing == "good"


def test_time_does_not_prove_one_that_was_never_still(
    harness: Harness, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten actions and ten minutes later the one after it is good, and it is not."""
    agent = harness.agent(memory={"n": 0}, workspace=work)
    with agent.run() as run:
        with monkeypatch.context() as patched:
            patched.setattr(_looking, "_moved", lambda *given: iter([f"{n:02}.txt" for n in range(30)]))
            moving = run.checkpoint()
        still = run.checkpoint()
        for _ in range(10):
            run.execute(works)
        harness.clock.advance(601)
        run.checkpoint()
        shelf = keeper_of(agent).shelf
        assert [shelf.get(one.id).standing for one in (moving, still)] == ["unproven", "good"]  # type: ignore[union-attr]
        header = keeper_of(agent).packs.header(shelf.get(moving.id).number)  # type: ignore[union-attr]
        assert header is not None and len(header["facts"]["moving"]) == 20
        assert header["facts"]["moving"][-1] == "11 others"


@pytest.mark.parametrize("others", [(), ("a.txt",)])
def test_one_file_that_never_stands_still_is_the_moment(
    work: Path, monkeypatch: pytest.MonkeyPatch, others: tuple[str, ...]
) -> None:
    """A log that grows at every look spoils nothing; where another file moves with it, both are named."""
    look = _looking.Looking._look

    def written(*given: Any) -> _looking.Looked:
        for name in ("busy.log", *others):
            with open(work / "notes" / name, "ab") as file:
                file.write(b"more\n")
        return look(*given)

    monkeypatch.setattr(_looking.Looking, "_look", written)
    snapshot, _ = Gathered().take(Workspace(work))
    assert snapshot.moving == (("notes/a.txt", "notes/busy.log") if others else ())
    assert "busy.log" in snapshot.folder.folders["notes"].files
