"""Entering and leaving a run: the two block statements, and one run at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Never

from sickbay._errors import BadArgument
from sickbay._flow import adrive, drive
from sickbay._life import Life
from sickbay._mask import Recorder
from sickbay._run import AsyncRun, Run
from sickbay._ward import Ward

if TYPE_CHECKING:
    from sickbay._agent import Agent


class Entering:
    """What `agent.run()` returns: to be entered by `with` or `async with`."""

    def __init__(self, agent: Agent, *, wait: bool, fresh: bool = False, beat: bool = True) -> None:
        self._agent = agent
        recorder = Recorder(agent._arguments.redact, agent._secret_values if agent._secrets else None)
        self.life = Life(agent, recorder, wait=wait, fresh=fresh, beat=beat)

    def __getattr__(self, name: str) -> Never:
        raise AttributeError(
            f"agent.run() has no {name!r}: enter it, `with agent.run() as run:`, and write run.{name}"
        )

    def __enter__(self) -> Run:
        with self._taken():
            return Run(self._agent, self._live(drive(self.life.opening(), self.life)))

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._given_back():
            drive(self.life.closing(error), self.life)

    async def __aenter__(self) -> AsyncRun:
        with self._taken():
            return AsyncRun(self._agent, self._live(await adrive(self.life.opening(), self.life)))

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._given_back():
            await adrive(self.life.closing(error), self.life)

    @contextlib.contextmanager
    def _taken(self) -> Iterator[None]:
        agent = self._agent
        with agent._entering:
            if agent._life is not None:
                raise BadArgument(
                    f"{agent.name} has a run already: one run an agent and process; leave that `with` block "
                    "first, or share its run among your threads"
                )
            agent._life = self.life
        try:
            yield
        except BaseException:
            agent._life = None
            raise

    @contextlib.contextmanager
    def _given_back(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._agent._life = None

    def _live(self, ward: Ward) -> Ward:
        self._agent._last = ward
        self._agent._has_run = True
        return ward
