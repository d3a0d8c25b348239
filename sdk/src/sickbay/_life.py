"""A life: from entering `agent.run()` to leaving it.

    open     the home is ours, or AlreadyRunning; what an earlier run left behind is counted
    knock    the server is asked for at most three seconds; commands that wait are obeyed
    paused?  flush and raise AgentPauseRequired, or wait for the decision and knock again
    begin    the run has its number, its first line, its threads
    …        actions
    close    what is in flight is said to be interrupted, the end is said, flush for at most five seconds

Entering and leaving are flows (`_flow`): a thread calls their blocking parts, an event loop sets them aside.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import uuid
import weakref
from typing import TYPE_CHECKING, Any

from sickbay import _endings, _pausing, _report
from sickbay._arguments import Arguments, check_memory
from sickbay._burial import bury
from sickbay._clock import Clock
from sickbay._errors import AgentStopped, NoRun
from sickbay._flow import Blocking, Flow, Rest
from sickbay._guard import harmless
from sickbay._home import Home
from sickbay._identity import Identity
from sickbay._keeper import Keeper
from sickbay._ledger import Ledger
from sickbay._link import Link, Unreachable
from sickbay._mask import Recorder
from sickbay._orders import Orders
from sickbay._resuming import resuming
from sickbay._returns import Returns
from sickbay._safe_points import SafePoints
from sickbay._version import __version__
from sickbay._ward import Ward

if TYPE_CHECKING:
    from sickbay._agent import Agent
    from sickbay._answers import Registered

ASK = 3.0
FLUSH, ENDING = 5.0, 0.5
log = logging.getLogger("sickbay")
_living: weakref.WeakSet[Life] = weakref.WeakSet()
_process: dict[int, str] = {}
_alone: set[str] = set()


class Leaving(BaseException):
    """SIGTERM under supervise: the run ends at this safe point. Private; supervise catches it."""


class Life:
    """One run of one agent in this process, and everything it holds."""

    def __init__(self, agent: Agent, recorder: Recorder, *, wait: bool, fresh: bool, beat: bool) -> None:
        self._agent, self._recorder = agent, recorder
        self._arguments, self._clock = agent._arguments, agent._clock
        self._wait, self._fresh, self._beat = wait, fresh, beat
        self.name, self.heals = self._arguments.name, self._arguments.heal
        self._run = uuid.uuid4().hex
        self.is_leaving = self._is_over = False
        self.receipts_are_local = False  # sickbay.testing is the server
        self.home: Home
        self.ledger: Ledger
        self.link: Link
        self.orders: Orders
        self.keeper: Keeper
        self.returns: Returns
        self.points: SafePoints
        self.ward: Ward

    # — entering —

    def opening(self) -> Flow[Ward]:
        """Until actions may run; or raises, and everything is given back."""
        try:
            yield Blocking(self._open)
            while True:
                yield Blocking(self._knock)
                yield from self.points.going_back()
                if self.ledger.pause is None:
                    yield from self._going_on()
                if self.ledger.pause is None:
                    break
                if self._wait:
                    yield from self.deciding()
                    continue
                yield Blocking(self.returns.edits.look)
                yield Blocking(lambda: self.link.flush(FLUSH))
                if (refusal := self.ledger.barred()) is not None:
                    raise refusal  # None: the decision came during the flush, so knock again
            self._begin()
            if self.keeper.has_state:
                yield from self.keeper.taking("start")
        except BaseException:
            self._give_back()
            raise
        return self.ward

    def deciding(self, last: str = "") -> Flow[None]:
        """Wait, at no cost, until a human has decided; raises AgentStopped when that is the decision.

        A loop that waits looks like one that hangs, so the log says once that it waits, for whom and why.
        """
        ledger = self.ledger
        if ledger.pause is not None and not ledger.pause.stopped:
            why = _pausing.refusal(self._arguments.name, ledger.pause, self._arguments.url)
            log.warning("sickbay: %s%s", why, f". It met {last}" if last else "")
        ledger.waiting = True
        try:
            while True:
                rings, pause = ledger.rings, ledger.pause
                if self.is_leaving:
                    raise Leaving
                points = self.points
                if points.can_go_back or (pause is None and points.is_unfinished):
                    yield from points.going_back()
                    continue
                if pause is None:
                    break
                if pause.stopped:
                    raise ledger.barred() or Leaving()
                yield Blocking(self.orders.again)
                yield Rest(points.rest if points.waits_for_server else self.returns.edits.rest, rings)
                if ledger.rings == rings:
                    yield Blocking(self.returns.edits.look)
        finally:
            ledger.waiting = False
        ledger.go_on()

    def _going_on(self) -> Flow[None]:
        keeper = self.keeper
        if self._fresh:
            return
        yield from resuming(keeper, self.returns, lambda: self.link.reaches, self._agent._has_run)
        self.returns.is_blank = False

    def _open(self) -> None:
        given = self._arguments
        if isinstance(self._agent.memory, dict):
            check_memory(self._agent.memory)
        self.home = Home.open(given.name, given.instance, given.home, clock=self._clock)
        self._wire_up()
        if self._fresh and self.keeper.workspace is not None:
            self.keeper.workspace.take_as_it_is()
        self._say_alone()
        self.home.spool.begin(self._run, self._clock.wall())
        bury(self.home, self.ledger)
        _living.add(self)
        if self._is_over:  # cancelled meanwhile: whoever cancelled has not waited for this
            self._give_back()

    def _say_alone(self) -> None:
        """A token is meant for a server: without its address, working alone is said, once a process."""
        given = self._arguments
        if given.token and not given.url and given.name not in _alone:
            _alone.add(given.name)
            log.warning(
                "sickbay: %s has a token and no server, so nothing is sent and nobody is told: set "
                "SICKBAY_URL to its address, such as http://127.0.0.1:8000. Everything is kept in %s",
                given.name,
                self.home.directory,
            )

    def _wire_up(self) -> None:
        given = self._arguments
        self.ledger = Ledger(
            self.home, agent=given.name, limits=given.budget, clock=self._clock, url=given.url
        )
        agent = self._agent
        self.keeper = Keeper(
            given, self.home, self.ledger, agent._mind, agent._checks, agent._tools, run=self._run
        )
        self.returns = Returns(self.home, self.keeper, self.ledger, lambda: self.link.reaches, given.name)
        self.returns.is_blank = not (self._fresh or agent._has_run)
        self.ward = Ward(
            run=self._run,
            ledger=self.ledger,
            effects=self.home.effects,
            recorder=self._recorder,
            clock=self._clock,
            passes=given.passes,
            transient=given.transient,
        )
        self.orders = Orders(self.ledger, self._receipt, self._clock.wall, self.home.effects)
        self.points = SafePoints(self.ledger, self.keeper, self.returns, self.orders, heals=self.heals)
        self.ward.points = self.points
        self.link = Link(
            self.home,
            _identity(given, self._beat),
            given.url,
            given.token,
            snapshot=self.ledger.snapshot,
            on_account=self._on_account,
            on_commands=self.orders.received,
            on_pause=self.orders.told,
            on_fenced=self._on_fenced,
            on_holds=self.orders.holds,
            on_heard=self._on_heard,
        )
        if not self._beat and given.url:
            self.ledger.holds.ask = self.link.fetch  # nobody listens: whoever waits asks
        self.ledger.tell = self.link.nudge
        self.ledger.tell_doing = self.link.doing
        self.ledger.tell_ended = self.keeper.facts.ended
        self.ledger.tell_failed = self.keeper.failed
        self.keeper.wake = self.link.nudge
        self.returns.flush = lambda: self.link.flush(ASK)
        self.link.carry(self.keeper)

    def _knock(self) -> None:
        """Ask the server, and obey what waits there; raises TokenRefused."""
        answer = self.link.register(ASK, wants="wait" if self._wait and self.ledger.pause else "run")
        if isinstance(answer, Unreachable):
            log.debug("sickbay: %s", answer.why)  # the link's own warning says what becomes of the events
            return
        self._believe(answer)
        if self.ledger.pause is not None or answer.commands_version:
            was_paused = self.ledger.pause is not None
            self._look()
            if was_paused and self.ledger.pause is None:  # the decision was waiting there: now it is a run
                again = self.link.register(ASK, wants="run")
                if not isinstance(again, Unreachable):
                    self._believe(again)

    def _believe(self, answer: Registered) -> None:
        from sickbay._answers import plain

        if answer.account is not None:
            self._on_account(plain(answer.account))
        if answer.pause is not None:
            self.orders.told(plain(answer.pause))
        if answer.guidance and self.ledger.data.guidance is None and self.ledger.data.settled is None:
            self.ledger.data.guidance = answer.guidance  # a new home of an old agent

    def _look(self) -> None:
        self.ledger.waiting = True  # nothing runs yet: this is the safest point of all
        try:
            if not self.link.fetch(ASK):
                log.warning("sickbay: %s could not ask whether a decision waits", self._arguments.name)
        finally:
            self.ledger.waiting = False

    def _begin(self) -> None:
        at = self._clock.wall()
        self.returns.begin(self._run)
        self.keeper.begin()
        self.ledger.begin(self._run)
        for note in self.home.notes:
            self.ledger.note({"kind": "signal", "name": "home", "level": "warn", "title": note[:500]})
        self.ledger.note({"kind": "run", "name": "started", "at": at, "title": "started"})
        self.link.start()
        self.link.joins()
        self.link.nudge(True)

    # — leaving —

    def closing(self, error: BaseException | None) -> Flow[None]:
        """Say how it ended, send what there is, give everything back; never raises."""
        if self.home.is_forked:
            return  # the run is the parent's
        yield from self.keeping("end")
        self._say_end(error)
        yield Blocking(self._depart)

    def keeping(self, why: str, label: str | None = None) -> Flow[None]:
        """The state as it stands, if it changed: whoever decides wants to see what is different."""
        try:
            if self.keeper.has_state and not self.points.is_unfinished and self.keeper.differs():
                yield from self.keeper.taking(why, label)
        except Exception:
            log.exception("sickbay: a bug of ours while taking a checkpoint; the agent goes on")

    def _depart(self) -> None:
        began = time.monotonic()
        try:
            self.link.flush(FLUSH - ENDING)
        finally:
            self._give_back(max(ENDING, FLUSH - (time.monotonic() - began)))

    @harmless(None)
    def _say_end(self, error: BaseException | None) -> None:
        for act in list(self.ledger.in_flight.values()):
            act.abandoned()
        ending = _endings.ending_of(error, self.ward)
        title = ending.word
        if ending.word == "failed" and error is not None:
            told = _report.loose_failure("run", self._clock.wall(), error, self._recorder)
            title = told["title"]
            if ending.counted:
                self.ledger.failed_outside(told)
        self.ledger.note({"kind": "run", "name": ending.word, "title": title})
        self.ledger.over()

    @harmless(None)
    def _give_back(self, within: float = ENDING) -> None:
        """The threads end, and the home is free for the next run."""
        self._is_over = True
        _living.discard(self)
        if hasattr(self, "link"):
            self.link.stop(min(2.0, within))
        if hasattr(self, "keeper"):
            self.keeper.close()
        if hasattr(self, "home"):
            self.home.close()

    def leave(self) -> None:
        """End at the next safe point; callable from a signal handler."""
        self.is_leaving = True
        ledger = getattr(self, "ledger", None)
        if ledger is not None:
            ledger.bar(Leaving)

    def rest(self, rest: Rest) -> None:
        self.ward.rest(rest)

    async def arest(self, rest: Rest) -> None:
        await self.ward.arest(rest)

    # — what the server says —

    def _receipt(self, command: str, state: str, why: str) -> str:
        return "ok" if self.receipts_are_local else self.link.receipt(command, state, why)

    @harmless(None)
    def _on_heard(self) -> None:
        self.ledger.holds.heard()
        self.points.server_is_back()

    @harmless(None)
    def _on_account(self, merged: dict[str, Any]) -> None:
        self.ledger.merge(merged)

    @harmless(None)
    def _on_fenced(self) -> None:
        given = self._arguments
        cause = (
            f"a newer process of {given.name} ({given.instance}) has started elsewhere and took its place; "
            "give each worker its own instance="
        )
        log.warning("sickbay: %s", cause)
        self.ledger.bar(
            lambda: AgentStopped(
                f"{given.name} ends here: {cause}", agent=given.name, pause="", owner="deploy", cause=cause
            )
        )

    def _forked(self) -> None:
        """In a forked child the run is the parent's: nothing is guarded here, so nothing is let through."""
        self.ledger.forked()
        pid = self.home.pid
        name = self._arguments.name
        self.ledger.bar(
            lambda: NoRun(
                f"this process was forked from pid {pid}, which runs {name}: call agent.run() here, with an "
                "instance= of its own"
            )
        )


def _identity(given: Arguments, beat: bool) -> Identity:
    return Identity(
        agent=given.name,
        instance=given.instance,
        process=_process.setdefault(os.getpid(), uuid.uuid4().hex),
        host=os.uname().nodename if hasattr(os, "uname") else "",
        pid=os.getpid(),
        boot=Clock().boot_id,
        sdk=__version__,
        python=sys.version.split()[0],
        code_version=given.code_version or None,
        about=given.about or None,
        owner=given.owner or None,
        runbook=given.runbook or None,
        while_paused=given.while_paused or None,
        every_s=given.every.total_seconds() if given.every else None,
        grace_s=given.grace.total_seconds() if given.grace else None,
        heal=given.heal,
        shared_workspace=given.shared_workspace,
        beat=beat,
        budget=given.budget,
    )


def _all_forked() -> None:
    for life in list(_living):
        life._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_all_forked)
