"""Laws of tools: what a framework calls is guarded and otherwise unchanged."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest

from sdk.tests.desk import of_kind, paused
from sickbay import ActionFailed, BadArgument
from sickbay.testing import Harness


def test_a_tool_looks_like_its_function(harness: Harness) -> None:
    """Name, docstring and signature stay, so that frameworks can describe the tool."""

    @harness.agent().tool
    def search(query: str, *, limit: int = 3) -> list[str]:
        """Find notes."""
        return [query] * limit

    assert (search.__name__, search.__doc__) == ("search", "Find notes.")
    assert list(inspect.signature(search).parameters) == ["query", "limit"]


def test_its_arguments_are_recorded(harness: Harness) -> None:
    """Positional and named arguments both stand in the input."""
    agent = harness.agent()

    @agent.tool(name="look_up")
    def search(query: str, limit: int = 3) -> list[str]:
        return [query] * limit

    with agent.run():
        search("a")
        search(query="b", limit=1)
        search("c", limit=2)
    told = [(e["name"], e["input"]) for e in of_kind(harness, agent, "action")]
    assert told == [
        ("look_up", "a"),
        ("look_up", {"query": "b", "limit": 1}),
        ("look_up", {"args": ["c"], "limit": 2}),
    ]


def test_what_it_raised_comes_out_unchanged_until_the_budget_is_spent(harness: Harness) -> None:
    """The very exception object comes out, counted once; the third is a pause."""
    agent = harness.agent()
    raised = [LookupError("one"), LookupError("two"), LookupError("three")]
    left = list(raised)

    @agent.tool
    def search() -> None:
        raise left.pop(0)

    with paused(), agent.run():
        for expected in raised[:2]:
            with pytest.raises(LookupError) as caught:
                search()
            assert caught.value is expected
        search()
    assert len(of_kind(harness, agent, "failure")) == 3


def test_a_tool_in_an_action_counts_once(harness: Harness) -> None:
    """A tool's own exception that leaves an outer action is that tool's failure."""
    agent = harness.agent()

    @agent.tool
    def search() -> None:
        raise LookupError("no index")

    with agent.run() as run, pytest.raises(ActionFailed) as caught:
        run.execute(search, name="outer")
    (failure,) = of_kind(harness, agent, "failure")
    assert failure["name"] == "search"
    assert caught.value.failure == f"{failure['run']}-{failure['seq']}"


def test_a_failed_verification_has_no_original(harness: Harness) -> None:
    """A tool whose verifier says no raises ActionFailed."""
    agent = harness.agent()

    @agent.tool(verify=bool)
    def search() -> list[str]:
        return []

    with agent.run(), pytest.raises(ActionFailed):
        search()


def test_a_tools_key_is_made_from_its_arguments(harness: Harness) -> None:
    """Each call of an external tool is an effect of its own."""
    agent = harness.agent()

    @agent.tool(external=True, key=lambda order: f"refund:{order}")
    def refund(order: int) -> int:
        return order

    with agent.run():
        refund(17)
        refund(18)
    assert [e["key"] for e in of_kind(harness, agent, "effect")] == ["refund:17", "refund:18"]


def gives() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("function", "options", "advice"),
    [
        (gives, {}, r"run\.begin\('gives', …\)"),
        (4, {}, "makes functions into actions"),
        (len, {"external": True, "key": "refund"}, "write a function of its"),
        (len, {"key": len}, "add external=True"),
        (len, {"retry": 1}, "write retries="),
        (len, {"timeout": 1}, "there are name, expected"),
        (len, {"external": True, "retries": 1}, "under a key only"),
    ],
)
def test_wrong_tools_are_refused_when_they_are_made(
    harness: Harness, function: Any, options: Any, advice: str
) -> None:
    """What no tool can be made of fails at once and says what to write."""
    with pytest.raises(BadArgument, match=advice):
        harness.agent().tool(**options)(function)
