"""Laws of what the server says: obeyed once, by whom it is meant for, and never believed blindly."""

from __future__ import annotations

from typing import Any

import pytest

from sdk.tests.desk import fail, of_kind, paused, spend, works
from sickbay import Agent, AgentStopped
from sickbay._life import Life
from sickbay.testing import Harness


def life_of(agent: Agent) -> Life:
    assert agent._life is not None
    return agent._life


class Receipts:
    """A server's answers to receipts, and what was told."""

    def __init__(self, life: Life, answer: str = "ok") -> None:
        self.told: list[tuple[str, str]] = []
        self.answer = answer
        life._receipt = self.take  # type: ignore[method-assign]
        life.orders._receipt = self.take

    def take(self, command: str, state: str, why: str) -> str:
        self.told.append((command, state))
        return self.answer


def command(kind: str, id: str = "c1", **payload: Any) -> dict[str, Any]:
    return {"id": id, "version": 1, "kind": kind, "payload": payload}


def test_taken_is_told_before_it_is_done(harness: Harness) -> None:
    """A command is receipted as taken, then acted upon, then as done; the same again only as done."""
    agent = harness.agent()
    with agent.run():
        life = life_of(agent)
        receipts = Receipts(life)
        life.orders.received([command("pause", "c1", pause="p1", owner="human", cause="look first")])
        life.orders.received([command("resume", "c2", pause="p1")])
        life.orders.received([command("resume", "c2", pause="p1")])
    assert receipts.told == [
        ("c1", "taken"), ("c1", "done"), ("c2", "taken"), ("c2", "done"), ("c2", "done"),
    ]  # fmt: skip


@pytest.mark.parametrize("answer", ["taken", "fenced"])
def test_what_another_took_is_not_done(harness: Harness, answer: str) -> None:
    """Where another process was first, or a newer one fenced this, nothing happens."""
    agent = harness.agent()
    with agent.run() as run:
        life = life_of(agent)
        Receipts(life, answer)
        life.orders.received([command("pause", pause="p1")])
        assert run.execute(works) == 4


def test_a_resume_needs_its_receipt_and_a_pause_does_not(harness: Harness) -> None:
    """Out of reach of the server a pause is obeyed all the same; a resume waits."""
    agent = harness.agent()
    with agent.run():
        life = life_of(agent)
        receipts = Receipts(life, "unreachable")
        life.orders.received([command("pause", "c1", pause="p1")])
        assert life.ledger.pause is not None
        life.orders.received([command("resume", "c2", pause="p1")])
        assert life.ledger.pause is not None
        receipts.answer = "ok"
        life.orders.again()
        assert life.ledger.pause is None


@pytest.mark.parametrize(
    "told",
    [
        {"id": "c", "kind": "pause", "payload": None},
        {"id": "c", "kind": 4},
        {"id": "c"},
        {"id": "c", "kind": "resume", "payload": {"pause": ["p1"], "guidance": 4}},
        {"id": "c", "kind": "pause", "payload": {"pause": 4, "owner": [], "cause": {"x": 1}}},
        {"id": "c", "kind": "delete everything", "payload": {}},
    ],
)
def test_nonsense_from_the_server_hurts_nobody(harness: Harness, told: dict[str, Any]) -> None:
    """Whatever a hostile server orders, no exception reaches the agent; only a pause holds it."""
    agent = harness.agent()
    with agent.run():
        Receipts(life_of(agent))
        life_of(agent).orders.received([told])
        assert (life_of(agent).ledger.pause is not None) is (told.get("kind") == "pause")


@pytest.mark.parametrize(
    "merged", [{}, {"number": 1, "added": [4], "others": None}, {"others": [["x", "y"]]}, {"others": 4}]
)
def test_nonsense_accounts_are_left_alone(harness: Harness, merged: dict[str, Any]) -> None:
    """An account that is none changes nothing."""
    agent = harness.agent()
    with agent.run() as run:
        fail(run, 2)
        before = run._ward.ledger.data.account
        life_of(agent)._on_account(merged)
        assert run._ward.ledger.data.account.hour == before.hour
        assert run.execute(works) == 4


def test_what_only_the_server_saw_counts_once(harness: Harness) -> None:
    """A silence that the server adds is the third failure in a row, however often it is told."""
    agent = harness.agent()
    with paused(), agent.run() as run:
        fail(run, 2)
        merged = {"number": 1, "added": [["silence-main-1", "silence", 5.0]], "others": []}
        for _ in range(3):
            life_of(agent)._on_account(merged)
        assert run._ward.ledger.data.account.streak == ("refund", "refund", "silence")
        run.execute(works)


def test_other_instances_fill_the_hour(harness: Harness) -> None:
    """Nine failures of other workers and one of this one are ten in an hour."""
    agent = harness.agent()
    with paused(), agent.run() as run:
        others = [[f"other-{n}", 60.0] for n in range(9)]
        life_of(agent)._on_account({"number": 1, "added": [], "others": others})
        run.execute(works)
        fail(run)
        run.execute(works)


def test_a_resume_forgives_the_others_too(harness: Harness) -> None:
    """After a resume, what other workers spent before it does not pause this one again."""
    agent = harness.agent()
    others = [[f"other-{n}", 60.0] for n in range(10)]
    with paused(), agent.run() as run:
        life_of(agent)._on_account({"number": 1, "added": [], "others": others})
        run.execute(works)
    harness.resume(agent)
    with agent.run() as run:
        life_of(agent)._on_account({"number": 2, "added": [], "others": others})
        assert run.execute(works) == 4


def test_a_pause_that_the_server_holds_is_taken(harness: Harness) -> None:
    """A pause that this home has forgotten comes back with the next answer; a settled one does not."""
    agent = harness.agent()
    with paused(), agent.run() as run:
        told = {"id": "p9", "owner": "human", "cause": "look first", "incident": 4, "stopped": False}
        life_of(agent).orders.told(told)
        run.execute(works)
    harness.resume(agent)
    with agent.run() as run:
        life_of(agent).orders.told(told)
        assert run.execute(works) == 4


def test_a_fenced_run_ends_and_is_not_paused(harness: Harness) -> None:
    """Once a newer process took its place, an old one runs no further action and leaves no pause."""
    agent = harness.agent()
    with pytest.raises(AgentStopped, match="took its place"), agent.run() as run:
        life_of(agent)._on_fenced()
        run.execute(works)
    with agent.run() as run:
        assert run.execute(works) == 4


def test_a_fenced_loop_says_once_why_it_ends(harness: Harness, caplog: Any) -> None:
    """supervise returns when a newer process took the agent's place; the log has one sentence of it."""
    agent = harness.agent()
    with caplog.at_level("WARNING", "sickbay"):
        agent.supervise(lambda run: (life_of(agent)._on_fenced(), run.execute(works)))
    (said,) = [record.getMessage() for record in caplog.records]
    assert "took its place" in said and "instance=" in said


def test_the_snapshot_is_the_contract(harness: Harness) -> None:
    """What travels with every batch has exactly the agreed keys, and says what is true."""
    agent = harness.agent()
    with agent.run() as run:
        state = run._ward.ledger.snapshot()
        assert set(state) == {
            "status", "since", "doing", "doing_since", "pause", "settled", "account", "held",
        }  # fmt: skip
        assert (state["status"], state["doing"], state["pause"]) == ("running", None, None)
        inner = run.execute(run._ward.ledger.snapshot, name="look")
        assert inner["doing"] == "look"
    spend(agent)
    harness.resume(agent)
    with agent.run() as run:
        state = run._ward.ledger.snapshot()
        assert state["status"] == "probation"
        assert set(state["settled"]) == {"pause", "command", "verb", "at"}


def test_twenty_transient_failures_block_and_a_success_unblocks(harness: Harness) -> None:
    """Nothing but time-outs, twenty times: blocked, not paused; the first success ends it, and says so."""
    agent = harness.agent()

    def times_out() -> None:
        raise TimeoutError

    with agent.run() as run:
        ledger = run._ward.ledger
        for turn in range(20):
            assert ledger.status() == "running", turn
            with pytest.raises(Exception, match="times_out"):
                run.execute(times_out)
        assert ledger.status() == "blocked"
        assert ledger.pause is None
        run.execute(works)
        assert ledger.status() == "running"
    assert [e["name"] for e in of_kind(harness, agent, "signal")] == ["blocked", "unblocked"]


def test_ten_minutes_of_transient_failures_block(harness: Harness) -> None:
    """Two time-outs ten minutes apart with nothing between them block as well; a success resets."""
    agent = harness.agent()

    def times_out() -> None:
        raise TimeoutError

    with agent.run() as run:
        ledger = run._ward.ledger
        for between in (works, None):
            with pytest.raises(Exception, match="times_out"):
                run.execute(times_out)
            harness.clock.advance(600)
            if between is not None:
                run.execute(between)
                continue
            with pytest.raises(Exception, match="times_out"):
                run.execute(times_out)
        assert ledger.status() == "blocked"
