"""Laws of waiting on purpose."""

from __future__ import annotations

from typing import Any

import pytest

from sdk.tests.desk import fail, of_kind, paused, works
from sickbay import BadArgument
from sickbay.testing import Harness


def test_it_is_what_the_agent_does_until_the_next_action_or_the_time_is_over(harness: Harness) -> None:
    """The snapshot says so, and the timeline; an action, or the end of the time, ends it."""
    agent = harness.agent()
    with agent.run() as run:
        ledger = run._ward.ledger
        run.waiting(60, "the export")
        assert ledger.snapshot()["doing"].startswith("waits for the export until ")
        harness.clock.advance(61)
        assert ledger.snapshot()["doing"] is None
        run.waiting(60)
        run.execute(works)
        assert ledger.snapshot()["doing"] is None
    titles = [event["title"] for event in of_kind(harness, agent, "signal")]
    assert len(titles) == 2 and titles[0].startswith("waits for the export until ")


def test_it_is_a_safe_point(harness: Harness) -> None:
    """A paused agent does not wait for anything else."""
    with harness.agent().run() as run:
        with paused():
            fail(run, 3)
        with paused():
            run.waiting(60)


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf"), 32 * 86_400, True, "60", None])
def test_what_is_no_time_is_refused_at_once(harness: Harness, wrong: Any) -> None:
    """A sentence says what to write."""
    with harness.agent().run() as run, pytest.raises(BadArgument, match="for how many seconds"):
        run.waiting(wrong)
