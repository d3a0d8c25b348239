"""Laws of keys: an effect happens once, over rollbacks, restarts and retries."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sdk.tests.desk import of_kind, works
from sickbay import ActionFailed, BadArgument, Run
from sickbay.testing import Harness

REFUNDS = """
import os, sys
from pathlib import Path
from sickbay import Agent
base, told, dies = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
agent = Agent("desk", home=base, memory={"done": []})
def refund(number):
    with told.open("a") as file:
        file.write(f"{number}\\n")
    if number == dies:
        os._exit(137)
    return {"order": number}
def happened(key):
    return key.partition(":")[2] in told.read_text().split()
with agent.run() as run:
    for number in range(20):
        run.execute(refund, number, external=True, key=f"refund:{number}", confirm=happened)
        agent.memory["done"].append(number)
        if number == 14 and not run.rolled_back and dies < 0:
            run.rollback()
"""


def test_what_is_done_is_not_done_again(harness: Harness) -> None:
    """The recorded result comes back, and the timeline says when it was done."""
    agent = harness.agent()
    calls: list[int] = []

    def pay(n: int) -> dict[str, Any]:
        calls.append(n)
        return {"paid": (n,)}

    with agent.run() as run:
        first = run.execute(pay, 1, external=True, key="refund:1")
        harness.clock.advance(60)
        assert run.execute(pay, 1, external=True, key="refund:1") == {"paid": [1]}
        assert first == {"paid": (1,)} and calls == [1]
        run.execute(pay, 1, external=True, key="refund:1", again=True)
    assert calls == [1, 1]
    told = [event for event in of_kind(harness, agent, "action") if event["outcome"] == "already"]
    assert len(told) == 1 and "already done at" in told[0]["title"] and told[0]["key"] == "refund:1"


def test_after_a_restart_and_a_rollback_it_is_still_done(harness: Harness) -> None:
    """No restore touches the ledger of effects; the timeline says that it was before the rollback."""
    agent = harness.agent(memory={"n": 0})
    with agent.run() as run:
        run.execute(works, external=True, key="k")
        harness.clock.advance(1)
        run.rollback()
    again = harness.agent(memory={"n": 0})
    with again.run() as run:
        assert run.execute(lambda: 5, external=True, key="k", name="works") == 4
    assert "before the rollback" in of_kind(harness, again, "action")[-1]["title"]


def test_an_effect_that_was_done_wrong_does_not_cure_itself(harness: Harness) -> None:
    """Its recorded result fails again, and nothing runs."""
    agent = harness.agent()
    calls: list[int] = []
    with agent.run() as run:
        for _ in range(2):
            with pytest.raises(ActionFailed, match="not as expected"):
                run.execute(
                    lambda: calls.append(1),
                    external=True,
                    key="k",
                    name="pay",
                    retries=3,
                    verify=lambda _: False,
                )
    assert calls == [1]


def test_what_may_have_happened_is_asked_about(harness: Harness) -> None:
    """A time-out: False runs it, True does not, a value is its result, nobody knowing fails and says so."""
    agent = harness.agent()

    def out_of_time() -> None:
        raise TimeoutError

    def unsure(run: Run, key: str) -> None:
        with pytest.raises(ActionFailed):
            run.execute(out_of_time, external=True, key=key, name="pay")

    with agent.run() as run:
        for key in ("a", "b", "c", "d"):
            unsure(run, key)
        asked: list[str] = []
        assert (
            run.execute(works, external=True, key="a", name="pay", confirm=lambda k: bool(asked.append(k)))
            == 4
        )
        assert (
            run.execute(works, external=True, key="b", name="pay", confirm=lambda _: True, verify=bool)
            is None
        )
        assert run.execute(works, external=True, key="c", name="pay", confirm=lambda _: {"id": 9}) == {
            "id": 9
        }
        with pytest.raises(ActionFailed, match="may have happened"):
            run.execute(works, external=True, key="d", name="pay")
    assert asked == ["a"]
    assert "d may have happened" in of_kind(harness, agent, "signal")[0]["title"]


@pytest.mark.parametrize("key", ["k", None])
def test_waiting_for_an_answer_leaves_no_checkpoint(harness: Harness, key: str | None) -> None:
    """A checkpoint is taken before an effect that runs, and before none that waits or was done."""
    agent = harness.agent(memory={"n": 0})

    def out_of_time() -> None:
        raise TimeoutError

    with agent.run() as run:
        taken: list[str] = []
        for _ in range(3):
            with pytest.raises(ActionFailed):
                run.execute(out_of_time, external=True, key=key)
            newest = run._ward.points._keeper.shelf.newest
            assert newest is not None and newest.why == "effect"
            taken.append(newest.id)
        if key is not None:
            with pytest.raises(ActionFailed), run.action("pay", external=True, key=key):
                raise AssertionError
    assert len(set(taken)) == (3 if key is None else 1)


def test_a_retry_repeats_only_what_surely_did_nothing(harness: Harness) -> None:
    """A refusal is tried again under its key; a time-out only when confirm says that nothing happened."""
    agent = harness.agent()
    errors: list[Exception] = [ValueError("refused"), TimeoutError(), TimeoutError()]
    calls: list[int] = []

    def pay() -> str:
        calls.append(1)
        if errors:
            raise errors.pop(0)
        return "paid"

    with agent.run() as run:
        with pytest.raises(ActionFailed):
            run.execute(pay, external=True, key="k", retries=5)
        assert len(calls) == 2
        assert run.execute(pay, external=True, key="k", retries=5, confirm=lambda _: False) == "paid"
    assert len(calls) == 4


def test_a_block_does_not_begin_what_is_done(harness: Harness) -> None:
    """`with run.action(…)` cannot return a recorded result, so it raises before the block runs."""
    agent = harness.agent()
    with agent.run() as run:
        with run.action("pay", external=True, key="k") as act:
            act.result = 4
        with (
            pytest.raises(ActionFailed, match="again=True") as done,
            run.action("pay", external=True, key="k"),
        ):
            raise AssertionError
        assert done.value.result == 4


def test_one_key_is_in_flight_once(harness: Harness) -> None:
    """A second action under the same key is refused while the first runs."""
    agent = harness.agent()
    with agent.run() as run:

        def outer() -> None:
            with pytest.raises(BadArgument, match="in flight"):
                run.execute(works, external=True, key="k")

        run.execute(outer, external=True, key="k")


def test_twenty_refunds_over_a_rollback_and_two_deaths_are_twenty(tmp_path: Path) -> None:
    """Killed in the 6th and in the 11th, rolled back after the 15th: each is made once."""
    told = tmp_path / "told"
    told.touch()
    env = {**os.environ, "SICKBAY_FAILPOINT": ""}
    for dies, code in ((5, 137), (10, 137), (-1, 0)):
        command = [sys.executable, "-c", REFUNDS, str(tmp_path / "home"), str(told), str(dies)]
        assert subprocess.run(command, env=env, timeout=60, check=False).returncode == code
    assert told.read_text().split() == [str(number) for number in range(20)]


class Answered(Exception):
    """What an HTTP client raises."""

    def __init__(self, status: int) -> None:
        self.status_code = status


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (ConnectionRefusedError(), "failed"), (Answered(429), "failed"), (Answered(425), "failed"),
        (ValueError(), "failed"), (TimeoutError(), "unknown"), (ConnectionResetError(), "unknown"),
        (Answered(503), "unknown"), (Answered(408), "unknown"),
    ],
)  # fmt: skip
def test_what_was_turned_away_at_the_door_did_nothing(harness: Harness, error: Exception, state: str) -> None:
    """No connection, or told to come later: the key is free. A cut connection may have reached the world."""
    agent = harness.agent()

    def pay() -> None:
        raise error

    with agent.run() as run, pytest.raises(ActionFailed):
        run.execute(pay, external=True, key="k")
    assert of_kind(harness, agent, "action")[0]["effect"] == state
    assert of_kind(harness, agent, "effect")[0]["confirms"] is False
