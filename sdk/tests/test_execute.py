"""Laws of one action: what the caller gets, and what is recorded of it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sdk.tests.desk import breaks, fail, of_kind, paused, works
from sickbay import ActionFailed, AgentPauseRequired, BadArgument, Run, Verdict
from sickbay.testing import Harness


def test_the_result_comes_back(harness: Harness) -> None:
    """execute returns what the action returned, and records it once, with input and output."""
    agent = harness.agent()
    with agent.run() as run:
        assert run.execute(works, {"id": 17}) == {"id": 17}
    (event,) = of_kind(harness, agent, "action")
    assert (event["name"], event["outcome"], event["input"]) == ("works", "ok", {"id": 17})
    assert event["output"] == {"id": 17}
    assert "verdict" not in event


def test_what_the_action_raised_is_the_cause(harness: Harness) -> None:
    """ActionFailed comes from the original and names the failure in the timeline."""
    agent = harness.agent()
    with agent.run() as run, pytest.raises(ActionFailed, match="ValueError: no such order") as caught:
        run.execute(breaks)
    assert isinstance(caught.value.__cause__, ValueError)
    (failure,) = of_kind(harness, agent, "failure")
    assert caught.value.failure == f"{failure['run']}-{failure['seq']}"
    assert caught.value.rolled_back_to is None
    assert (failure["failure"], failure["exception"], failure["consecutive"]) == ("error", "ValueError", 1)


def test_a_failure_stands_directly_after_its_action(harness: Harness) -> None:
    """An action and its failure are two events, side by side."""
    agent = harness.agent()
    with agent.run() as run:
        fail(run, 2)
    kinds = [(e["kind"], e["seq"]) for e in harness.events(agent)]
    assert kinds[1:5] == [("action", 2), ("failure", 3), ("action", 4), ("failure", 5)]


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (True, "pass"),
        (None, "unknown"),
        (Verdict(True, "it is there"), "pass"),
        (Verdict(None), "unknown"),
        (1, "unknown"),
        ("no", "unknown"),
        ([], "unknown"),
    ],
)
def test_what_a_verifier_may_answer(harness: Harness, answer: Any, word: str) -> None:
    """True passes, None is unknown, and so is whatever is no verdict: the result comes back."""
    agent = harness.agent()
    with agent.run() as run:
        assert run.execute(works, verify=lambda _: answer) == 4
    (event,) = of_kind(harness, agent, "action")
    assert (event["outcome"], event["verdict"]) == ("ok", word)
    assert of_kind(harness, agent, "failure") == []


@pytest.mark.parametrize("answer", [False, Verdict(False, "the amount is 9")])
def test_a_verdict_of_fail_is_a_failure(harness: Harness, answer: Any) -> None:
    """A verification that says no raises ActionFailed with the result and both sides of the story."""
    agent = harness.agent()
    with agent.run() as run, pytest.raises(ActionFailed) as caught:
        run.execute(works, 9, expected="a refund of 10", verify=lambda _: answer)
    assert caught.value.result == 9
    assert caught.value.verdict.word == "fail"
    (failure,) = of_kind(harness, agent, "failure")
    assert (failure["failure"], failure["expected"], failure["actual"]) == (
        "verification",
        "a refund of 10",
        "9",
    )


def test_a_verifier_that_raises_is_unknown(harness: Harness) -> None:
    """A broken verifier costs the agent nothing and is asked to be better."""
    agent = harness.agent()
    with agent.run() as run:
        assert run.execute(works, verify=breaks) == 4
    (event,) = of_kind(harness, agent, "action")
    assert event["verdict"] == "unknown"
    assert "verify raised ValueError" in event["why"]


def test_unknown_neither_counts_nor_resets(harness: Harness) -> None:
    """Two failures, an unknown, a failure: that is three in a row."""
    agent = harness.agent()
    streaks = []
    with paused(), agent.run() as run:
        for act in (lambda: fail(run, 2), lambda: run.execute(works, name="refund", verify=lambda _: None)):
            act()
            streaks.append(len(run._ward.ledger.data.account.streak))
        fail(run)
    assert streaks == [2, 2] and len(of_kind(harness, agent, "failure")) == 3
    assert of_kind(harness, agent, "pause")[0]["title"] == "3 failures in a row, the limit is 3"


def test_a_read_proves_nothing_about_a_write(harness: Harness) -> None:
    """A success without a verdict ends a streak of its own name alone; a pass ends any."""
    agent = harness.agent()
    with agent.run() as run:
        ledger = run._ward.ledger
        fail(run, 2, name="write")
        run.execute(works, name="read")
        assert len(ledger.data.account.streak) == 2
        run.execute(works, name="write")
        assert ledger.data.account.streak == ()
        fail(run, 2, name="write")
        run.execute(works, name="read", verify=lambda _: True)
        assert ledger.data.account.streak == ()


def test_transient_failures_spend_nothing(harness: Harness) -> None:
    """A time-out fails its caller and not the budget: no FailureEvent, and the streak stays."""
    agent = harness.agent()

    def times_out() -> None:
        raise TimeoutError("30 s")

    with agent.run() as run:
        fail(run, 2)
        for _ in range(5):
            with pytest.raises(ActionFailed) as caught:
                run.execute(times_out)
            assert caught.value.transient
            assert caught.value.failure is None
        with paused():
            fail(run)
            run.execute(works)
    assert len(of_kind(harness, agent, "failure")) == 3
    assert [e["transient"] for e in of_kind(harness, agent, "action") if e["name"] == "times_out"] == [
        True
    ] * 5


class Busy(Exception):
    """A service's own word for busy, with an HTTP status."""

    def __init__(self, status_code: int) -> None:
        super().__init__("a timeout, says the message")
        self.status_code = status_code


@pytest.mark.parametrize(("status", "counted"), [(429, 0), (503, 0), (408, 0), (400, 1), (404, 1)])
def test_transient_is_judged_by_status_not_words(harness: Harness, status: int, counted: int) -> None:
    """408, 425, 429 and 5xx are transient; a message that says "timeout" is not."""
    agent = harness.agent()

    def call() -> None:
        raise Busy(status)

    with agent.run() as run, pytest.raises(ActionFailed):
        run.execute(call)
    assert len(of_kind(harness, agent, "failure")) == counted


@pytest.mark.parametrize(
    "transient", [(ValueError,), lambda error: True if isinstance(error, ValueError) else None]
)
def test_a_developer_names_what_is_transient(harness: Harness, transient: Any) -> None:
    """Agent(transient=…) takes exception classes or a function."""
    agent = harness.agent(transient=transient)
    with agent.run() as run:
        fail(run, 5)
    assert of_kind(harness, agent, "failure") == []


class Bubble(Exception):
    """A framework's interrupt."""


@pytest.mark.parametrize("raised", [Bubble, KeyboardInterrupt, GeneratorExit, SystemExit])
def test_what_passes_through_is_no_failure(harness: Harness, raised: type[BaseException]) -> None:
    """What passes= names, and what is no Exception, comes out unchanged: neither counted nor a reset."""
    agent = harness.agent(passes=(Bubble,))

    def interrupts() -> None:
        raise raised

    with agent.run() as run:
        fail(run, 2)
        with pytest.raises(raised):
            run.execute(interrupts)
        assert len(run._ward.ledger.data.account.streak) == 2
    (event,) = (e for e in of_kind(harness, agent, "action") if e["name"] == "interrupts")
    assert event["outcome"] == "interrupted"


def test_a_nested_failure_counts_once(harness: Harness) -> None:
    """An ActionFailed out of an inner action marks the outer failed because of it, and counts once."""
    agent = harness.agent()

    def outer(run: Run) -> None:
        run.execute(breaks, name="inner")

    with agent.run() as run, pytest.raises(ActionFailed) as caught:
        run.execute(outer, run)
    (failure,) = of_kind(harness, agent, "failure")
    inner, enclosing = of_kind(harness, agent, "action")
    assert failure["name"] == "inner"
    assert (enclosing["outcome"], enclosing["because"]) == ("failed", caught.value.failure)
    assert inner["parent"] == enclosing["act"]


def test_a_failure_raised_from_another_counts_once(harness: Harness) -> None:
    """Wrapping an ActionFailed, or grouping it, makes no second failure."""
    agent = harness.agent()

    def wraps(run: Run) -> None:
        try:
            run.execute(breaks)
        except ActionFailed as error:
            raise RuntimeError("wrapped") from error

    def groups(run: Run) -> None:
        with pytest.raises(ActionFailed) as caught:
            run.execute(breaks)
        raise ExceptionGroup("both", [caught.value])

    with agent.run() as run:
        for action in (wraps, groups):
            with pytest.raises(ActionFailed):
                run.execute(action, run)
    assert len(of_kind(harness, agent, "failure")) == 2


def test_one_exception_raised_thrice_counts_thrice(harness: Harness) -> None:
    """An exception object that is raised anew, as mocks do, is a new failure each time."""
    agent = harness.agent()
    always = ValueError("the same object")

    def again() -> None:
        raise always

    @agent.tool
    def tool() -> None:
        raise always

    with paused(), agent.run() as run:
        with pytest.raises(ActionFailed):
            run.execute(again)
        with pytest.raises(ValueError):
            tool()
        run.execute(again)


def test_a_pause_out_of_an_inner_action_interrupts_the_outer(harness: Harness) -> None:
    """The inner action that spends the budget pauses; the outer one is interrupted, not failed."""
    agent = harness.agent()
    with paused(), agent.run() as run:
        fail(run, 2)
        run.execute(lambda: run.execute(breaks, name="inner"), name="outer")
    outer = of_kind(harness, agent, "action")[-1]
    assert (outer["name"], outer["outcome"]) == ("outer", "interrupted")
    assert len(of_kind(harness, agent, "failure")) == 3


def counted(failures: int) -> Callable[[], int]:
    """A function that raises so many times and then returns how often it was called."""
    calls = [0]

    def flaky() -> int:
        calls[0] += 1
        if calls[0] <= failures:
            raise ValueError(calls[0])
        return calls[0]

    return flaky


def test_retries_are_one_action(harness: Harness) -> None:
    """Two failed attempts and a third that works: one action, attempts 3, nothing counted."""
    agent = harness.agent()
    with agent.run() as run:
        before = harness.clock.boot()
        assert run.execute(counted(2), retries=2) == 3
    (event,) = of_kind(harness, agent, "action")
    assert (event["outcome"], event["attempts"]) == ("ok", 3)
    assert of_kind(harness, agent, "failure") == []
    assert 2.4 <= harness.clock.boot() - before <= 3.6


def test_retries_that_all_fail_count_once(harness: Harness) -> None:
    """However many attempts failed, at most one failure is counted."""
    agent = harness.agent()
    with agent.run() as run, pytest.raises(ActionFailed):
        run.execute(works, verify=lambda _: False, retries=3)
    (event,) = of_kind(harness, agent, "action")
    assert event["attempts"] == 4
    assert len(of_kind(harness, agent, "failure")) == 1


def test_no_further_attempt_once_paused(harness: Harness) -> None:
    """An action that is being retried makes no attempt after the pause."""
    agent = harness.agent()
    flaky = counted(99)

    def paused_meanwhile() -> None:
        harness.pause(agent)
        flaky()

    with paused(), agent.run() as run:
        run.execute(paused_meanwhile, retries=5)
    (event,) = of_kind(harness, agent, "action")
    assert event["attempts"] == 1


def test_nothing_external_is_repeated_without_a_key(harness: Harness) -> None:
    """retries= with external=True is refused without a key."""
    with harness.agent().run() as run:
        with pytest.raises(BadArgument, match="under a key only"):
            run.execute(works, external=True, retries=1)
        assert run.execute(works, external=True, key="refund:17", retries=1) == 4


def test_an_effect_is_written_down_before_it_runs(harness: Harness) -> None:
    """The intent is in the ledger of effects and in the timeline when the action begins."""
    agent = harness.agent()
    seen = []

    def refund(order: int) -> str:
        seen.extend((e["name"], e["key"]) for e in of_kind(harness, agent, "effect"))
        return "done"

    with agent.run() as run:
        run.execute(refund, 17, external=True, key="refund:17")
        assert seen == [("refund", "refund:17")]
        done = run._ward.effects.done("refund:17")
    assert done is not None
    assert done.result == "done"


def gives() -> Iterator[int]:
    yield 1


async def coroutine() -> int:
    return 1


@pytest.mark.parametrize(
    ("action", "advice"),
    [
        (gives, r"run\.begin\('gives', …\)"),
        (lambda: gives(), r"run\.begin"),
        (coroutine, "async with agent.run"),
        (functools.partial(coroutine), "async with agent.run"),
    ],
)
def test_lazy_functions_are_refused_with_advice(harness: Harness, action: Any, advice: str) -> None:
    """A generator or a coroutine has done nothing when it returns: execute says what to write."""
    agent = harness.agent()
    with agent.run() as run, pytest.raises(BadArgument, match=advice):
        run.execute(action)
    assert of_kind(harness, agent, "failure") == []


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        ({"verify": True}, "write a function of the result"),
        ({"expected": 4}, "write a sentence"),
        ({"external": 1}, "write external=True"),
        ({"key": "refund:17"}, "add external=True"),
        ({"key": 17, "external": True}, "write a text"),
        ({"retries": -1}, "how many attempts more"),
        ({"retries": True}, "how many attempts more"),
        ({"record": "some"}, "'all', 'shape' or 'none'"),
        ({"name": ""}, "write a text"),
        ({"amount": 3}, r"functools\.partial\(append, amount=…\).*lambda: append\(amount=…\), name='append'"),
        ({"verfy": len}, r"did you mean verify=\?"),
        ({"again": 1}, "write again=True"),
        ({"confirm": len}, "give key="),
    ],
)
def test_wrong_arguments_say_what_to_write(harness: Harness, arguments: Any, advice: str) -> None:
    """A wrong argument of execute fails at once, before anything runs."""
    ran: list[int] = []
    with harness.agent().run() as run, pytest.raises(BadArgument, match=advice):
        run.execute(ran.append, 1, **arguments)
    assert ran == []


def test_an_action_names_what_it_does_not_know(harness: Harness) -> None:
    """A wrong option of `action` and `begin` is named, with those that there are."""
    with harness.agent().run() as run:
        for begin in (run.action, run.begin):
            with pytest.raises(BadArgument, match="does not know inputs=: write input="):
                begin("search", inputs=4)  # type: ignore[arg-type]


def test_execute_needs_a_function(harness: Harness) -> None:
    """Passing the result of a call instead of the function is told apart."""
    with harness.agent().run() as run, pytest.raises(BadArgument, match="its first argument is the function"):
        run.execute(4)  # type: ignore[arg-type]


def test_the_primitive(harness: Harness) -> None:
    """with run.action records what is set as its result, and verifies it at its end."""
    agent = harness.agent()
    with agent.run() as run:
        with run.action("search", input="boiler", verify=bool) as act:
            act.result = ["a note"]
        with pytest.raises(ActionFailed), run.action("search", input="roof", verify=bool) as act:
            act.result = []
        with pytest.raises(ActionFailed) as caught, run.action("search"):
            raise KeyError("index")
    assert isinstance(caught.value.__cause__, KeyError)
    assert [e["outcome"] for e in of_kind(harness, agent, "action")] == ["ok", "failed", "failed"]


def test_begin_and_end_serve_callbacks(harness: Harness) -> None:
    """end(result) judges, end(error=…) records and does not raise; a second end does nothing."""
    agent = harness.agent()
    with agent.run() as run:
        run.begin("stream", input="hello").end("text")
        act = run.begin("stream")
        act.end(error=ValueError("cut"))
        act.end("late")
        with pytest.raises(ActionFailed):
            run.begin("stream", verify=bool).end("")
        with pytest.raises(AgentPauseRequired):
            run.begin("stream").end(error=ValueError("cut"))
    assert [e["outcome"] for e in of_kind(harness, agent, "action")] == ["ok", "failed", "failed", "failed"]


def test_what_nobody_ended_is_said_to_be_interrupted(harness: Harness) -> None:
    """An action that is begun and not ended when the run is left is interrupted, and no failure."""
    agent = harness.agent()
    with agent.run() as run:
        act = run.begin("stream")
    act.end("too late")
    (event,) = of_kind(harness, agent, "action")
    assert event["outcome"] == "interrupted"


def test_parallel_failures_count_exactly(harness: Harness) -> None:
    """Eight threads, one streak: not one failure more or less than was spent."""
    agent = harness.agent()
    ready = threading.Barrier(8)
    stopped = []

    def worker(run: Run) -> None:
        ready.wait(10)
        try:
            fail(run, 50)
        except AgentPauseRequired:
            stopped.append(1)

    with paused(), agent.run() as run:
        threads = [threading.Thread(target=worker, args=(run,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        run.execute(works)
    assert len(stopped) == 8
    failures = of_kind(harness, agent, "failure")
    assert 3 <= len(failures) <= 10
    assert [f["consecutive"] for f in failures] == list(range(1, len(failures) + 1))
    assert len(of_kind(harness, agent, "pause")) == 1
