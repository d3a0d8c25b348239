"""Laws of the line that a person reads of an action."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from sdk.tests.desk import breaks, of_kind, works
from sickbay import ActionFailed
from sickbay.testing import Harness

TITLES: list[tuple[Any, str]] = [
    ((), "works"),
    (("order 4711", 12.5), "works order 4711, 12.5"),
    (({"id": 4711, "lines": [1, 2], "token": "sk-abcdefghijklmnop"},), "works id 4711, token •••"),
    (({"deep": {"er": 1}},), "works deep er 1"),
    (([{"id": 1}, {"id": 2}],), "works id 1, id 2"),
    (("two\nlines   and\tmore",), "works two lines and more"),
    (("x" * 9000,), "works " + "x" * 79 + "…"),
    ((None,), "works"),
]


@pytest.mark.parametrize(("given", "title"), TITLES)
def test_a_title_says_what_was_worked_on(harness: Harness, given: Any, title: str) -> None:
    """The name and a few masked words of the input; a failure's own title keeps the input to itself."""
    agent = harness.agent()
    with agent.run() as run:
        run.execute(lambda *_: 4, *given, name="works")
        with contextlib.suppress(ActionFailed):
            run.execute(breaks, *given, name="works")
    good, bad = of_kind(harness, agent, "action")
    assert good["title"] == title
    assert bad["title"] == f"{good['title']}: ValueError: no such order"
    assert of_kind(harness, agent, "failure")[0]["title"] == "works: ValueError: no such order"


def test_a_title_keeps_what_redact_and_record_keep(harness: Harness) -> None:
    """The title is made of what was recorded: redacted, or types alone, or nothing."""
    agent = harness.agent(redact=lambda text: text.replace("Miller", "M."))
    with agent.run() as run:
        run.execute(works, "Miller, 4711")
        run.execute(works, {"name": "Miller"}, record="shape")
        run.execute(works, "Miller", record="none")
    titles = [action["title"] for action in of_kind(harness, agent, "action")]
    assert titles == ["works M., 4711", "works name str of 6", "works"]
