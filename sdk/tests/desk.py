"""Builders for the SDK's tests: actions that work, fail and lie, and what is to be read of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from sickbay import ActionFailed, Agent, Run
from sickbay.testing import Harness


def works(value: Any = 4) -> Any:
    return value


def breaks(*_: Any) -> None:
    raise ValueError("no such order")


def fail(run: Run, times: int = 1, name: str = "refund") -> None:
    """So many counted failures, as a careless agent makes them."""
    for _ in range(times):
        with contextlib.suppress(ActionFailed):
            run.execute(breaks, name=name)


def spend(agent: Agent) -> None:
    """A run that fails until it is paused."""
    with paused(), agent.run() as run:
        fail(run, 1000)


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """The block ends in a pause."""
    import pytest

    from sickbay import AgentPauseRequired

    with pytest.raises(AgentPauseRequired):
        yield


def of_kind(harness: Harness, agent: Agent, kind: str) -> list[dict[str, Any]]:
    return [event for event in harness.events(agent) if event["kind"] == kind]
