"""For the tests of agents: a clock to be set, a home of its own, and a human who decides.

    from sickbay.testing import Harness

    def test_three_wrong_refunds_pause(tmp_path):
        harness = Harness(tmp_path)
        agent = harness.agent("refund-desk")
        with pytest.raises(AgentPauseRequired), agent.run() as run:
            for order in orders:
                with suppress(ActionFailed):
                    run.execute(refund, order, verify=lambda r: r["amount"] == order["amount"])
        harness.resume(agent, guidance="skip the order without an address")
        with agent.run() as run:
            assert run.guidance == "skip the order without an address"

Nothing here sleeps: back-off moves the harness's clock instead. No server is needed, and none is asked.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson

from sickbay import _segments
from sickbay._agent import Agent
from sickbay._clock import Clock, LoopBell, ThreadBell
from sickbay._errors import BadArgument
from sickbay._home import Home, place
from sickbay._ledger import Ledger

__all__ = ["FakeClock", "Harness", "spooled"]


class FakeClock(Clock):
    """A clock that stands still until it is moved. Waits with a limit move it and return at once.

    Args:
        at: the wall clock's seconds since the epoch.

    Attributes: `paused`, an Event that is set while an agent waits for a decision.
    """

    def __init__(self, at: float = 1_700_000_000.0) -> None:
        self._lock = threading.Lock()
        self._wall, self._boot, self._boot_id = at, 1_000.0, "boot-1"
        self.paused = threading.Event()

    def boot(self) -> float:
        return self._boot

    def wall(self) -> float:
        return self._wall

    @property
    def boot_id(self) -> str:
        return self._boot_id

    def advance(self, by: float | timedelta) -> None:
        """Let time pass on both clocks, in seconds or as a timedelta."""
        seconds = by.total_seconds() if isinstance(by, timedelta) else float(by)
        with self._lock:
            self._boot += seconds
            self._wall += seconds

    def set_wall(self, at: float) -> None:
        """Set the wall clock alone, as an operator or NTP might."""
        self._wall = at

    def reboot(self) -> None:
        """Another boot: its clock begins anew. Take effect when a home is next opened."""
        with self._lock:
            self._boot, self._boot_id = 10.0, f"boot-{uuid.uuid4().hex[:8]}"

    def wait(self, bell: ThreadBell, seconds: float | None) -> None:
        if seconds is None:
            self.paused.set()
            bell.wait()
            self.paused.clear()
        else:
            self.advance(seconds)

    async def awaiting(self, bell: LoopBell, seconds: float | None) -> None:
        if seconds is None:
            self.paused.set()
            await bell.wait()
            self.paused.clear()
        else:
            self.advance(seconds)


class Harness:
    """Agents on a clock of their own, in a directory of their own, without a server.

    Args:
        base: an empty directory, such as pytest's tmp_path.
        clock: default a new FakeClock.
    """

    def __init__(self, base: Path, clock: FakeClock | None = None) -> None:
        self.base = Path(base)
        self.clock = clock or FakeClock()

    def agent(self, name: str = "agent", **arguments: Any) -> Agent:
        """An Agent with these arguments, here."""
        agent = Agent(name, home=self.base, **arguments)
        self.adopt(agent)
        return agent

    def adopt(self, agent: Agent) -> None:
        """Bring an agent that your program made here: its home, this clock, no server."""
        from dataclasses import replace

        agent._arguments = replace(agent._arguments, home=self.base, url=None, token=None)
        agent._clock = self.clock

    def resume(self, agent: Agent, *, guidance: str | None = None, probation: bool = True) -> None:
        """Decide as a human would: the agent goes on, in its live run or at its next."""
        self._decide(agent, "resume", guidance, probation)

    def stop(self, agent: Agent) -> None:
        """Decide to stop it: its next run raises AgentStopped."""
        self._decide(agent, "stop", None, True)

    def start(self, agent: Agent) -> None:
        """Start a stopped agent again."""
        self._decide(agent, "start", None, True)

    def pause(self, agent: Agent, cause: str = "paused by a human") -> None:
        """Order a pause: it takes hold in the live run, at its next safe point."""
        command = {"kind": "pause", "payload": {"pause": str(uuid.uuid4()), "owner": "human", "cause": cause}}
        self._give(agent, command)

    def hold(self, agent: Agent, *tools: str) -> None:
        """Hold these tools, and no others: in the live run, calls to them wait until the next `hold`."""
        told = [{"tool": tool, "by": "the harness"} for tool in tools]
        self._give(agent, {"kind": "hold", "ordered_at": self.clock.wall(), "payload": {"holds": told}})

    def events(self, agent: Agent) -> list[dict[str, Any]]:
        """What the agent recorded, oldest first."""
        return list(spooled(self.base, agent.name, agent.instance))

    def _decide(self, agent: Agent, verb: str, guidance: str | None, probation: bool) -> None:
        life = agent._life
        if life is not None and hasattr(life, "ledger"):
            pause = life.ledger.pause
            if pause is None:
                raise BadArgument(f"{agent.name} is not paused: there is nothing to decide")
            payload = {"pause": pause.id, "guidance": guidance, "probation": probation, "by": "the harness"}
            self._give(agent, {"kind": verb, "payload": payload})
            return
        home = Home.open(agent.name, agent.instance, self.base, clock=self.clock)
        try:
            ledger = Ledger(
                home, agent=agent.name, limits=agent._arguments.budget, clock=self.clock, url=None
            )
            if ledger.pause is None:
                raise BadArgument(f"{agent.name} is not paused: there is nothing to decide")
            ledger.lift(
                ledger.pause.id,
                str(uuid.uuid4()),
                verb,
                guidance=guidance,
                probation=probation,
                said="stopped by the harness" if verb == "stop" else "",
            )
        finally:
            home.close()

    def _give(self, agent: Agent, command: dict[str, Any]) -> None:
        life = agent._life
        if life is None:
            raise BadArgument(f"{agent.name} has no run: only a live run takes this order")
        life.receipts_are_local = True
        life.orders.received([{"id": str(uuid.uuid4()), "version": 1, **command}])


def spooled(base: Path | str, agent: str, instance: str = "main") -> Iterator[dict[str, Any]]:
    """The events on disk, oldest first, each with the `run` it stands in and its `seq`.

    Args:
        base: the home, as SICKBAY_HOME.
        agent: the agent's name.
        instance: which worker.

    Example:
        names = [e["name"] for e in spooled(tmp_path, "refund-desk") if e["kind"] == "action"]
    """
    for run, seq, line in _segments.events(place(Path(base), agent, instance) / "spool"):
        event = orjson.loads(line)
        if "run" in event:  # the line of an earlier run that vanished
            event["vanished"] = event["run"]
        yield {**event, "run": run, "seq": seq}
