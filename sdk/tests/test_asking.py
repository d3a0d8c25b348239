"""Laws of asking: a question is a pause, and its answer is for it alone."""

from __future__ import annotations

import pytest

from sdk.tests.desk import fail, of_kind, spend, works
from sickbay import AgentPauseRequired, BadArgument
from sickbay.testing import Harness


def test_a_question_pauses_and_its_answer_comes_back(harness: Harness) -> None:
    """Over a restart, as often as it is asked; it is no failure."""
    agent = harness.agent()
    with pytest.raises(AgentPauseRequired) as caught, agent.run() as run:
        run.ask("Refund 500 €?", key="refund:17")
    assert (caught.value.owner, caught.value.cause) == ("human", "waiting for an answer: Refund 500 €?")
    harness.resume(agent, guidance="no, 50 €")
    for _ in range(2):
        with agent.run() as run:
            assert run.ask("Refund 500 €?", key="refund:17") == "no, 50 €"
    assert of_kind(harness, agent, "failure") == []


def test_another_question_is_another_pause(harness: Harness) -> None:
    """What was said to the first does not answer the second."""
    agent = harness.agent()
    with pytest.raises(AgentPauseRequired), agent.run() as run:
        run.ask("Refund 500 €?", key="refund:17")
    harness.resume(agent)
    with pytest.raises(AgentPauseRequired, match="700"), agent.run() as run:
        assert run.ask("Refund 500 €?", key="refund:17") == ""
        run.ask("Refund 700 €?", key="refund:18")


def test_what_was_said_to_a_pause_is_no_answer(harness: Harness) -> None:
    """Guidance after a spent budget is not taken for one, nor is a start after a stop."""
    agent = harness.agent()
    spend(agent)
    harness.resume(agent, guidance="try once more")
    with pytest.raises(AgentPauseRequired, match="Refund 500"), agent.run() as run:
        run.ask("Refund 500 €?", key="refund:17")
    harness.stop(agent)
    harness.start(agent)
    with pytest.raises(AgentPauseRequired, match="Refund 500"), agent.run() as run:
        run.ask("Refund 500 €?", key="refund:17")


def test_an_answer_leaves_the_budget_as_it_is(harness: Harness) -> None:
    """A question spent nothing: the agent is not on probation because it asked, and no streak is forgiven."""
    agent = harness.agent()
    with pytest.raises(AgentPauseRequired, match="Refund"), agent.run() as run:
        fail(run, 2)
        run.ask("Refund 500 €?", key="refund:17")
    harness.resume(agent)
    with pytest.raises(AgentPauseRequired, match="3 failures in a row"), agent.run() as run:
        run.execute(works, name="count")
        fail(run)
        run.execute(works, name="count")


def test_what_holds_no_run_can_read_what_was_said(harness: Harness) -> None:
    """`agent.guidance` and `agent.rolled_back` are those of the live run, and None outside of one."""
    agent = harness.agent(memory={"n": 1})
    spend(agent)
    harness.resume(agent, guidance="slower")
    with agent.run() as run:
        good = run.checkpoint("good")
        run.rollback(to=good.id)
        assert agent.guidance == run.guidance == "slower"
        assert agent.rolled_back is not None and agent.rolled_back.to == good.id
    assert (agent.guidance, agent.rolled_back) == (None, None)


def test_a_question_that_is_none_is_refused(harness: Harness) -> None:
    """With the sentence to write."""
    with harness.agent().run() as run:
        with pytest.raises(BadArgument, match="one sentence"):
            run.ask(" ", key="k")
        with pytest.raises(BadArgument, match="refund:17"):
            run.ask("Refund?", key="")
