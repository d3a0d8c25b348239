"""Law of the saver: wrapped or not, a saver is what LangGraph's own suite says that it must be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.memory import InMemorySaver

from sickbay.langgraph import SickbaySaver
from sickbay.testing import Harness

NOT_OF_THE_INNER = {"delete_for_runs", "copy_thread", "prune"}


@pytest.mark.parametrize("live", [False, True])
def test_the_wrapped_saver_passes_langgraphs_suite(tmp_path: Path, live: bool) -> None:
    """All that the inner saver can do passes, without a run and in one."""
    agent = Harness(tmp_path).agent()

    @checkpointer_test(name="SickbaySaver", skip_capabilities=NOT_OF_THE_INNER)
    async def wrapped() -> AsyncGenerator[BaseCheckpointSaver[str], None]:
        yield SickbaySaver(InMemorySaver(), agent)

    async def judged() -> None:
        report = await validate(wrapped)
        failed = {name: told.failures for name, told in report.results.items() if told.failures}
        assert failed == {}
        assert report.passed_all_base()

    async def judged_live() -> None:
        async with agent.run():
            await judged()

    asyncio.run(judged_live() if live else judged())
