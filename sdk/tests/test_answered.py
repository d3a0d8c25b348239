"""Laws of what a human says of an effect: obeyed once, at once, over any death."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from sdk.tests.desk import of_kind
from sdk.tests.test_orders import Receipts, life_of
from sickbay import ActionFailed, Agent, Run
from sickbay.testing import Harness

CUT = """
import sys
from pathlib import Path
from sickbay import Agent
agent = Agent("desk", home=Path(sys.argv[1]))
with agent.run():
    life = agent._life
    id = sys.argv[2]
    payload = {"effect": id, "name": "pay", "key": "k", "answer": "again", "by": "alice", "reason": "x"}
    life.receipts_are_local = True
    life.orders.received([{"id": "c1", "version": 1, "kind": "effect", "payload": payload}])
    print(life.home.effects.of("k").state)
"""

KILLED = """
import os, sys
from pathlib import Path
from sickbay import Agent
from sickbay._ledger import Ledger
Ledger.ended = lambda *_, **__: os._exit(137)
with Agent("desk", home=Path(sys.argv[1])).run() as run:
    run.execute(lambda: 5, external=True, key="k", name="pay")
"""


def answer(effect: str, said: str, id: str = "c1", **more: Any) -> dict[str, Any]:
    payload = {"effect": effect, "name": "pay", "key": "k", "answer": said, "by": "alice", "reason": "looked"}
    return {"id": id, "version": 1, "kind": "effect", "payload": {**payload, **more}}


def out_of_time() -> None:
    raise TimeoutError


def unsure(run: Run, **more: Any) -> None:
    """It timed out, so nobody knows."""
    with pytest.raises(ActionFailed):
        run.execute(out_of_time, external=True, key="k", name="pay", **more)


def wrong(run: Run) -> None:
    """It was done, and not as expected."""
    with pytest.raises(ActionFailed, match="not as expected"):
        run.execute(lambda: 5, external=True, key="k", name="pay", verify=lambda _: False)


def pay(run: Run, calls: list[int], **more: Any) -> Any:
    def paying() -> int:
        calls.append(1)
        return 7

    return run.execute(paying, external=True, key="k", name="pay", **more)


def id_of(agent: Agent) -> str:
    effect = life_of(agent).home.effects.of("k")
    assert effect is not None
    return effect.id


def told(agent: Agent, *commands: dict[str, Any]) -> Receipts:
    receipts = Receipts(life_of(agent))
    life_of(agent).orders.received(list(commands))
    return receipts


def test_accepted_as_it_is(harness: Harness) -> None:
    """The recorded result comes back, nothing verifies it any more, and the timeline says by whom."""
    agent, calls = harness.agent(), []
    with agent.run() as run:
        wrong(run)
        wrong(run)
        assert told(agent, answer(id_of(agent), "accepted")).told == [("c1", "taken"), ("c1", "done")]
        assert pay(run, calls, verify=lambda _: False) == 5
    assert calls == []
    (command,) = of_kind(harness, agent, "command")
    assert command["outcome"] == "obeyed" and command["title"] == (
        "pay: k is accepted as it is, says alice: looked"
    )
    assert of_kind(harness, agent, "action")[-1]["title"].endswith("and stands as it is, says alice")


def test_done_again(harness: Harness) -> None:
    """Its key is free, once: what is done then is done."""
    agent, calls = harness.agent(), []
    with agent.run() as run:
        wrong(run)
        told(agent, answer(id_of(agent), "again"))
        assert [pay(run, calls), pay(run, calls)] == [7, 7]
        told(agent, answer(id_of(agent), "again"))  # the same command, heard again
        assert pay(run, calls) == 7
    assert calls == [1]


def test_it_happened(harness: Harness) -> None:
    """Its key is done without a result, over restarts, and there is nothing to verify."""
    agent, calls = harness.agent(), []
    with agent.run() as run:
        unsure(run)
        told(agent, answer(id_of(agent), "happened"))
        assert pay(run, calls, verify=lambda result: result["amount"] == 5) is None
    with harness.agent().run() as run:
        assert pay(run, calls, verify=lambda result: result["amount"] == 5) is None
    assert calls == []


def test_it_did_not(harness: Harness) -> None:
    """Its key is free."""
    agent, calls = harness.agent(), []
    with agent.run() as run:
        unsure(run)
        told(agent, answer(id_of(agent), "did_not"))
        assert pay(run, calls) == 7
    assert calls == [1]


def test_what_waits_for_an_answer_spends_no_budget(harness: Harness) -> None:
    """It fails as often as it is called, said once in the timeline; nothing is counted, nothing runs."""
    agent, calls = harness.agent(), []
    with agent.run() as run:
        unsure(run)
        for _ in range(5):
            with pytest.raises(ActionFailed, match="a human is asked"):
                pay(run, calls)
    assert calls == [] and not of_kind(harness, agent, "failure")
    assert len(of_kind(harness, agent, "signal")) == 1
    refused = of_kind(harness, agent, "action")[1:]
    assert len(refused) == 5 and all(line["effect"] == "none" for line in refused)


def test_a_run_that_ends_waiting_has_failed_without_a_failure(harness: Harness) -> None:
    """A script's next start is one more try."""
    for _ in range(4):
        agent = harness.agent()
        with pytest.raises(ActionFailed), agent.run() as run:
            run.execute(out_of_time, external=True, key="k", name="pay")
    assert not of_kind(harness, agent, "failure")


def test_supervise_goes_on_with_the_answer(harness: Harness) -> None:
    """The step that waits is taken again at once, not when its back-off ends."""
    agent, calls = harness.agent(), []
    steps: list[int] = []

    def step(run: Run) -> None:
        steps.append(1)
        if len(steps) == 1:
            unsure(run)
        if len(steps) == 3:
            told(agent, answer(id_of(agent), "did_not"))
        pay(run, calls)
        raise SystemExit(0)

    with pytest.raises(SystemExit):
        agent.supervise(step)
    assert calls == [1] and len(steps) == 3


@pytest.mark.parametrize(
    ("ended", "said", "why"),
    [
        ("done", "did_not", "is done, as its ledger knows by now"),
        ("failed", "happened", "did not happen, as its ledger knows by now"),
        ("failed", "accepted", "did not happen, as its ledger knows by now"),
        ("unknown", "accepted", "may have happened, as its ledger knows by now"),
        ("unknown", "again", "may have happened, as its ledger knows by now"),
        ("unknown", "never", "does not know this answer"),
    ],
)
def test_an_answer_that_the_ledger_has_outrun_is_refused(
    harness: Harness, ended: str, said: str, why: str
) -> None:
    """With what is known; nothing changes."""
    agent = harness.agent()
    with agent.run():
        life = life_of(agent)
        life.home.effects.intend("pay", "k", {}, "run-1")
        life.home.effects.outcome("run-1", ended)
        receipts = told(agent, answer("run-1", said))
        assert receipts.told == [("c1", "taken"), ("c1", "refused")]
        effect = life.home.effects.get("run-1")
        assert effect is not None and effect.state == ended
    assert why in of_kind(harness, agent, "command")[0]["title"]


def test_what_is_in_flight_is_not_answered_for(harness: Harness) -> None:
    """Its end will say what it did."""
    agent = harness.agent()
    with agent.run() as run:

        def paying() -> int:
            told(agent, answer(id_of(agent), "did_not"))
            return 7

        assert run.execute(paying, external=True, key="k", name="pay") == 7
    assert "is in flight" in of_kind(harness, agent, "command")[0]["title"]


def test_out_of_reach_the_answer_waits(harness: Harness) -> None:
    """Until its receipt is acknowledged; where another process took it, nothing happens here."""
    agent, calls = harness.agent(), []
    with agent.run() as run:
        unsure(run)
        receipts = Receipts(life_of(agent), "unreachable")
        life_of(agent).orders.received([answer(id_of(agent), "did_not")])
        with pytest.raises(ActionFailed):
            pay(run, calls)
        receipts.answer = "taken"
        life_of(agent).orders.received([])
        with pytest.raises(ActionFailed):
            pay(run, calls)
        receipts.answer = "ok"
        life_of(agent).orders.received([answer(id_of(agent), "did_not", "c2")])
        assert pay(run, calls) == 7


def test_an_answer_about_an_effect_of_another_home_counts(harness: Harness) -> None:
    """The ledger of this machine is new, the effect is of the one that is lost."""
    agent, calls = harness.agent(), []
    with agent.run() as run:
        told(agent, answer("elsewhere-1", "happened"))
        assert pay(run, calls) is None
    assert calls == []


def test_a_newer_effect_of_the_key_stands(harness: Harness) -> None:
    """An answer about an older one releases and settles nothing."""
    agent, calls = harness.agent(), []
    with agent.run() as run:
        unsure(run)
        old = id_of(agent)
        assert pay(run, calls, again=True) == 7
        for n, said in enumerate(("happened", "did_not")):
            told(agent, answer(old, said, f"c{n}"))
            assert pay(run, calls) == 7
    assert calls == [1]


def test_what_confirm_says_is_told_and_stands(harness: Harness) -> None:
    """The server hears what became of the effect that may have happened; True is never verified."""
    agent, calls = harness.agent(), []
    with agent.run() as run:
        unsure(run)
        old = id_of(agent)
        for _ in range(2):
            with pytest.raises(ActionFailed):
                pay(run, calls, confirm=lambda _: None)
        assert pay(run, calls, confirm=lambda _: True, verify=bool) is None
        assert pay(run, calls, verify=bool) is None
    found = [line for line in of_kind(harness, agent, "effect") if "of" in line]
    assert [(line["of"], line["outcome"]) for line in found] == [(old, "unknown"), (old, "done")]


@pytest.mark.parametrize("payload", [{}, {"effect": 4}, {"answer": ["x"]}, {"effect": "x", "by": {}}])
def test_nonsense_hurts_nobody(harness: Harness, payload: dict[str, Any]) -> None:
    """Whatever a hostile server says of effects."""
    agent = harness.agent()
    with agent.run() as run:
        told(agent, {"id": "c1", "version": 1, "kind": "effect", "payload": payload})
        told(agent, answer("x" * 9999, "happened", "c2", key="k" * 9999, by="\x1b[31m" * 99, name=4))
        calls: list[Any] = []
        assert pay(run, calls) == 7 and len(calls) == 1, "the key is as free as it was"


def test_killed_between_the_ledger_and_the_receipt_it_is_obeyed_once(tmp_path: Path) -> None:
    """The next process says that it is done, and releases nothing twice."""
    agent = Agent("desk", home=tmp_path)
    with agent.run() as run:
        wrong(run)
        id = id_of(agent)
    for failpoint, code, states in (
        ("effect:answered", 137, []),
        ("", 0, ["released"]),
        ("", 0, ["released"]),
    ):
        env = {**os.environ, "SICKBAY_FAILPOINT": failpoint}
        command = [sys.executable, "-c", CUT, str(tmp_path), id]
        done = subprocess.run(command, env=env, timeout=60, check=False, capture_output=True, text=True)
        assert done.returncode == code, done.stderr
        assert done.stdout.split() == states
    lines = (tmp_path / "desk" / "main" / "effects.ndjson").read_bytes().splitlines()
    assert [orjson.loads(line)["state"] for line in lines] == ["begun", "done", "released"]


def test_what_was_done_at_the_death_is_told(tmp_path: Path) -> None:
    """The ledger knew that it was done, the timeline did not: the next run's says so."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], timeout=60, check=False)
    assert done.returncode == 137
    agent, calls = Agent("desk", home=tmp_path), []
    with agent.run() as run:
        assert pay(run, calls) == 5
        spool = b"".join(path.read_bytes() for path in (tmp_path / "desk/main/spool").glob("*.ndjson"))
    told = [line for line in map(orjson.loads, spool.splitlines()) if "of" in line]
    assert [line["outcome"] for line in told] == ["done"] and calls == []
