"""The check of all sockets judges those that it asked about."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agents.queries.topics import Rights
from dashboard import live


class Opened:
    """What the guard knows of a browser's socket."""

    def __init__(self, session_key: str) -> None:
        self.session_key = session_key
        self.verdicts: list[Rights | None] = []

    async def judged(self, rights: Rights | None) -> None:
        self.verdicts.append(rights)


def test_a_page_that_opens_during_the_check_is_not_signed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was let in a moment ago, and the answer says nothing about it."""
    monkeypatch.setattr(live, "CHECK_S", 0.01)
    early, late = Opened("early"), Opened("late")

    async def check() -> None:
        guard: Any = live.Guard()
        loop = asyncio.get_running_loop()

        def rights_of(keys: set[str]) -> dict[str, Rights]:
            if late not in guard.sockets:
                loop.call_soon_threadsafe(guard.sockets.add, late)
                asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result()
            return {key: Rights(1, ()) for key in keys}

        monkeypatch.setattr(live.topics, "rights_of", rights_of)
        guard.add(early)
        while not late.verdicts:
            await asyncio.sleep(0.01)
        guard.discard(early)
        guard.discard(late)

    asyncio.run(asyncio.wait_for(check(), 20))
    assert early.verdicts and set(late.verdicts) == {Rights(1, ())}
