"""Laws of the effects ledger: the intent is on disk before the effect, and nothing forgets it."""

from __future__ import annotations

from pathlib import Path

from sdk.tests.durable import Clock
from sickbay._effects import Effects


def ledger(tmp_path: Path) -> Effects:
    return Effects(tmp_path / "effects.ndjson", Clock())  # type: ignore[arg-type]


def test_what_was_done_is_known_by_its_key_after_a_restart(tmp_path: Path) -> None:
    """The recorded result comes back with the key."""
    first = ledger(tmp_path)
    assert first.intend("refund", "refund:17", {"order": 17}, "run-1") is None
    assert first.outcome("run-1", "done", {"amount": 20})
    first.close()
    effect = ledger(tmp_path).done("refund:17")
    assert effect and (effect.name, effect.result, effect.state) == ("refund", {"amount": 20}, "done")
    assert ledger(tmp_path).done("refund:18") is None


def test_an_intent_without_an_end_may_have_happened(tmp_path: Path) -> None:
    """Died in between: the effect is listed as open, and its key is not done."""
    first = ledger(tmp_path)
    first.intend("refund", "refund:17", {}, "run-1")
    first.intend("mail", None, {}, "run-2")
    first.outcome("run-2", "failed")
    first.close()
    again = ledger(tmp_path)
    assert [effect.id for effect in again.open()] == ["run-1"] and again.done("refund:17") is None


def test_a_torn_or_foreign_line_spoils_no_other(tmp_path: Path) -> None:
    """What a death left behind is skipped; lines before and after it stand."""
    first = ledger(tmp_path)
    first.intend("refund", "k", {}, "run-1")
    first.close()
    path = tmp_path / "effects.ndjson"
    path.write_bytes(path.read_bytes() + b'[]\n{"id":1}\n\xff\n{"id":"run-9","na')
    second = ledger(tmp_path)
    second.outcome("run-1", "done", 5)
    second.close()
    effect = ledger(tmp_path).done("k")
    assert effect and effect.result == 5


def test_a_long_result_is_kept_by_its_head_and_size(tmp_path: Path) -> None:
    """At most 64 KB of a result are kept."""
    first = ledger(tmp_path)
    first.intend("export", "k", {}, "run-1")
    first.outcome("run-1", "done", "x" * 100_000)
    effect = first.done("k")
    assert effect and effect.result["size"] == 100_002
    assert (tmp_path / "effects.ndjson").stat().st_size < 70_000
    first.close()


def test_a_disk_that_refuses_is_told_and_raised_by_nothing(tmp_path: Path) -> None:
    """What could not be written and has a key will not run: it is not known. Without one it runs, and is."""
    first = Effects(tmp_path / "nowhere" / "effects.ndjson", Clock())  # type: ignore[arg-type]
    refused = first.intend("refund", "k", {}, "run-1")
    assert isinstance(refused, FileNotFoundError) and first.of("k") is None
    assert first.intend("mail", None, {}, "run-2") is not None
    assert [effect.id for effect in first.open()] == ["run-2"]
