"""Laws of `run.wanted`: a long action learns that something waits for its end."""

from __future__ import annotations

import pytest

from sickbay import AgentPauseRequired
from sickbay.testing import Harness


def test_a_long_action_learns_of_a_pause(harness: Harness) -> None:
    """Asking changes nothing: the pause is met where it always is, at the next action."""
    agent = harness.agent()
    with pytest.raises(AgentPauseRequired), agent.run() as run:
        with run.action("long"):
            assert run.wanted is None
            harness.pause(agent)
            assert run.wanted == "pause" and run.wanted == "pause"
        run.execute(lambda: None, name="next")


def test_a_decision_is_told_apart(harness: Harness) -> None:
    """A stop says that nothing goes on, and after a resume nothing is wanted."""
    agent = harness.agent()
    with pytest.raises(AgentPauseRequired), agent.run() as run, run.action("long"):
        harness.pause(agent)
        harness.resume(agent)
        assert run.wanted is None
        harness.pause(agent)
        harness.stop(agent)
        assert run.wanted == "stop"
        raise KeyError("wanted to end")


def test_whoever_ends_the_process_is_heard(harness: Harness) -> None:
    """SIGTERM under supervise is such a wish."""
    agent = harness.agent()
    seen = []

    def step(run: object) -> None:
        assert agent._life is not None
        agent._life.leave()
        seen.append(run.wanted)  # type: ignore[attr-defined]

    agent.supervise(step)
    assert seen == ["leave"]
