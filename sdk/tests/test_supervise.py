"""Laws of the loop that runs for weeks."""

from __future__ import annotations

import contextlib
import itertools
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdk.tests.desk import breaks, of_kind, spend, works
from sickbay import ActionFailed, Agent, AgentStopped, AlreadyRunning, BadArgument, Run
from sickbay.testing import Harness


def steps(*acts: Callable[[Run], Any]) -> Callable[[Run], Any]:
    """A step that does one thing after another, and then ends the loop."""
    left = list(acts)

    def step(run: Run) -> Any:
        if not left:
            sys.exit(0)
        return left.pop(0)(run)

    return step


def good(run: Run) -> None:
    run.execute(works)


def bad(run: Run) -> None:
    run.execute(breaks)


def test_a_step_that_fails_is_taken_again_after_a_second(harness: Harness) -> None:
    """Failures of a streak are followed by 1 and 2 s of back-off, with a jitter of a fifth."""
    agent = harness.agent()
    times: list[float] = []

    def timed(act: Callable[[Run], Any]) -> Callable[[Run], Any]:
        return lambda run: (times.append(harness.clock.boot()), act(run))

    with pytest.raises(SystemExit):
        agent.supervise(steps(timed(bad), timed(bad), timed(good), timed(good)))
    gaps = [later - before for before, later in itertools.pairwise(times)]
    assert 0.8 <= gaps[0] <= 1.2
    assert 1.6 <= gaps[1] <= 2.4
    assert gaps[2] == 0
    assert of_kind(harness, agent, "run")[-1]["name"] == "finished"


def test_a_step_that_raises_by_itself_counts_once(harness: Harness) -> None:
    """What comes out of a step and no action counted is one failure, in the step's name."""
    agent = harness.agent()

    def careless(run: Run) -> None:
        raise KeyError("index")

    with pytest.raises(SystemExit):
        agent.supervise(steps(careless, bad))
    failures = of_kind(harness, agent, "failure")
    assert [f["exception"] for f in failures] == ["KeyError", "ValueError"]


def test_a_step_that_is_left_early_is_followed_by_the_next(harness: Harness) -> None:
    """What passes= names ends the step and not the loop: nothing is counted, and it does not spin."""

    class Bubble(Exception):
        pass

    agent = harness.agent(passes=(Bubble,))
    times: list[float] = []

    def leaves(run: Run) -> None:
        times.append(harness.clock.boot())
        raise Bubble

    with pytest.raises(SystemExit):
        agent.supervise(steps(leaves, leaves, lambda run: times.append(harness.clock.boot())))
    gaps = [later - before for before, later in itertools.pairwise(times)]
    assert 0.8 <= gaps[0] <= 1.2 and 1.6 <= gaps[1] <= 2.4
    assert of_kind(harness, agent, "failure") == []
    assert [e["name"] for e in of_kind(harness, agent, "run")] == ["started", "finished"]


def test_a_transient_step_spends_nothing(harness: Harness) -> None:
    """A step that loses its connection is taken again, and nothing is counted."""
    agent = harness.agent()

    def cut(run: Run) -> None:
        raise ConnectionResetError

    with pytest.raises(SystemExit):
        agent.supervise(steps(*[cut] * 5))
    assert of_kind(harness, agent, "failure") == []


def test_a_pause_waits_for_the_decision_and_goes_on(harness: Harness) -> None:
    """On a pause the loop waits, takes over the guidance, and goes on in the same run."""
    agent = harness.agent()
    heard: list[str | None] = []

    def decide() -> None:
        harness.clock.paused.wait(20)
        harness.resume(agent, guidance="read amount.cents")

    human = threading.Thread(target=decide)
    human.start()
    with pytest.raises(SystemExit):
        agent.supervise(steps(bad, bad, bad, lambda run: heard.append(run.guidance), good))
    human.join(20)
    assert heard == ["read amount.cents"]
    assert [e["name"] for e in of_kind(harness, agent, "run")] == ["started", "finished"]


def test_a_swallowed_pause_is_seen_when_the_step_ends(harness: Harness) -> None:
    """A step that catches everything does not get past its pause."""
    agent = harness.agent()
    ran: list[int] = []

    def swallows(run: Run) -> None:
        for _ in range(4):
            with contextlib.suppress(BaseException):
                run.execute(breaks)

    def decide() -> None:
        harness.clock.paused.wait(20)
        assert ran == []
        harness.resume(agent)

    human = threading.Thread(target=decide)
    human.start()
    with pytest.raises(SystemExit):
        agent.supervise(steps(swallows, lambda run: ran.append(1)))
    human.join(20)
    assert ran == [1]


def test_a_loop_that_waits_says_so(harness: Harness, caplog: Any) -> None:
    """A pause is one line in the log, with what broke last: waiting must not look like hanging."""
    agent = harness.agent()
    human = threading.Thread(target=lambda: (harness.clock.paused.wait(20), harness.resume(agent)))
    human.start()
    with caplog.at_level(logging.INFO, logger="sickbay"), pytest.raises(SystemExit):
        agent.supervise(steps(bad, bad, bad))
    human.join(20)
    said = [record.getMessage() for record in caplog.records if "is paused" in record.getMessage()]
    assert len(said) == 1 and "3 failures in a row" in said[0] and "ValueError: no such order" in said[0]


def test_it_waits_when_it_starts_paused(harness: Harness) -> None:
    """supervise of a paused agent waits instead of raising; no step runs before the decision."""
    agent = harness.agent()
    spend(agent)
    ran: list[int] = []

    def decide() -> None:
        harness.clock.paused.wait(20)
        assert ran == []
        harness.resume(agent)

    human = threading.Thread(target=decide)
    human.start()
    with pytest.raises(SystemExit):
        agent.supervise(steps(lambda run: ran.append(1)))
    human.join(20)
    assert ran == [1]


def test_a_stop_ends_the_loop(harness: Harness) -> None:
    """A human's stop ends supervise, as it ends every later one before its first step; run() raises it."""
    agent = harness.agent()

    def decide() -> None:
        harness.clock.paused.wait(20)
        harness.stop(agent)

    human = threading.Thread(target=decide)
    human.start()
    agent.supervise(steps(bad, bad, bad))
    human.join(20)
    agent.supervise(lambda run: pytest.fail("a step of a stopped agent"))
    with pytest.raises(AgentStopped, match="stopped by the harness"), agent.run():
        raise AssertionError


def test_the_stop_of_another_agent_is_not_ours(harness: Harness) -> None:
    """A step that meets the stop of another agent ends in it: only its own ends a loop in silence."""
    other = harness.agent("other")
    spend(other)
    harness.stop(other)
    with pytest.raises(AgentStopped, match="other was stopped"):
        harness.agent().supervise(lambda run: other.run().__enter__())


def test_without_healing_failures_count_all_the_same(harness: Harness) -> None:
    """heal=False: the budget pauses, and the agent is never shown as healing."""
    agent = harness.agent(heal=False)
    shown: list[str] = []

    def decide() -> None:
        harness.clock.paused.wait(20)
        harness.resume(agent, probation=False)

    human = threading.Thread(target=decide)
    human.start()
    with pytest.raises(SystemExit):
        agent.supervise(steps(bad, lambda run: shown.append(run._ward.ledger.status()), bad, bad, bad))
    human.join(20)
    assert shown == ["running"]


def test_a_healing_agent_says_so(harness: Harness) -> None:
    """Between a failure and the next good step the agent is healing."""
    agent = harness.agent()
    shown: list[str] = []

    def show(run: Run) -> None:
        shown.append(run._ward.ledger.status())

    with pytest.raises(SystemExit):
        agent.supervise(steps(show, bad, show, show))
    assert shown == ["running", "healing", "running"]


def test_sigterm_ends_it_between_two_actions(harness: Harness) -> None:
    """SIGTERM lets the action end, runs no other, and the run has finished; the handler before is kept."""
    agent = harness.agent()
    called: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: called.append(number))
    ran: list[str] = []

    def step(run: Run) -> None:
        run.execute(lambda: signal.raise_signal(signal.SIGTERM), name="asks")
        run.execute(lambda: ran.append("after"))

    try:
        agent.supervise(step)
        assert signal.getsignal(signal.SIGTERM) is not before
        assert called == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ran == []
    assert of_kind(harness, agent, "run")[-1]["name"] == "finished"
    assert [e["outcome"] for e in of_kind(harness, agent, "action")] == ["ok"]


def test_sigterm_ends_a_waiting_agent(tmp_path: Path) -> None:
    """An agent that waits for a decision ends on SIGTERM, with exit code 0 and still paused."""
    program = (
        "import os, sys, threading, signal\n"
        "from sdk.tests.desk import breaks\n"
        "from sickbay import Agent\n"
        "agent = Agent('agent', home=sys.argv[1])\n"
        "def step(run):\n"
        "    run.execute(breaks, retries=0)\n"
        "def told():\n"
        "    while agent._life is None or not getattr(agent._life, 'ledger', None) "
        "or not agent._life.ledger.waiting:\n"
        "        threading.Event().wait(0.01)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "threading.Thread(target=told, daemon=True).start()\n"
        "from sickbay.testing import FakeClock\n"
        "agent._clock = FakeClock()\n"
        "agent.supervise(step)\n"
        "print('ended')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "ended\n")
    assert "is paused: " in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_lazy_step_is_refused_with_advice(harness: Harness) -> None:
    """A coroutine function belongs to asupervise; a generator is no step."""

    async def step(run: Run) -> None: ...

    with pytest.raises(BadArgument, match=r"await agent\.asupervise"):
        harness.agent().supervise(step)
    with pytest.raises(BadArgument, match="write a function of the run"):
        harness.agent("other").supervise(4)  # type: ignore[arg-type]


@pytest.mark.parametrize("step", [lambda: 1, lambda run, more: 1, lambda *, run: 1])
def test_a_step_takes_the_run_and_nothing_else(harness: Harness, step: Any) -> None:
    """What cannot be called with the run alone is refused before it runs, and counts no failure."""
    agent = harness.agent()
    with pytest.raises(BadArgument, match=r"def step\(run\)"):
        agent.supervise(step)
    with agent.run():
        pass
    assert of_kind(harness, agent, "failure") == [] and len(of_kind(harness, agent, "run")) == 2


def test_it_is_silent_when_all_is_well(harness: Harness, capfd: Any, caplog: Any) -> None:
    """Nothing on stdout, stderr or in the log, failures and retries included."""
    with caplog.at_level(logging.INFO, logger="sickbay"), pytest.raises(SystemExit):
        harness.agent().supervise(steps(good, bad, good))
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_one_run_an_agent_and_process(tmp_path: Path) -> None:
    """A second run of the same agent, or of its name, is refused with what to do."""
    agent = Agent("agent", home=tmp_path)
    with agent.run():
        with pytest.raises(BadArgument, match="has a run already"), agent.run():
            raise AssertionError
        again = Agent("agent", home=tmp_path)
        with pytest.raises(AlreadyRunning, match="give each worker its own instance="), again.run():
            raise AssertionError
        with Agent("agent", home=tmp_path, instance="two").run() as other, pytest.raises(ActionFailed):
            other.execute(breaks)
