"""The ledger: what has been spent, whether the next step may run, and what is in flight.

Every guarded step passes here twice. `enter` refuses while the agent is paused; `ended` spools what became
of the action, counts it by the pure rules of `sickbay.budget` and, when that spends the budget, pauses.
All of it happens under one lock, and the state file is the truth: a failure is in the spool and the account
is fsynced before the caller learns of it, so that neither kill -9 nor a missing server lets a step through.

    spool the action and its failure  →  count  →  pause?  →  state file, fsync  →  raise to the caller

A pause is lifted by `lift` alone, which takes the id of the very pause that the human saw.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from sickbay import _pausing, budget
from sickbay._clock import Bell, Clock
from sickbay._errors import NoRun
from sickbay._guard import harmless
from sickbay._holding import Holds
from sickbay._state import Pause
from sickbay._weather import Weather

if TYPE_CHECKING:
    from sickbay._home import Home

Line = dict[str, Any]
Barrier = Callable[[], BaseException]
PAUSE_TEXT = 500
IN_FLIGHT_SHOWN = 20
SETTLED = ("pause", "command", "verb", "at")


class Flying(Protocol):
    """An action in flight, as far as the ledger needs to know it."""

    act: int
    name: str

    def abandoned(self) -> None: ...


class Ledger:
    """The account, the pause and the actions in flight of one home."""

    def __init__(
        self, home: Home, *, agent: str, limits: budget.Budget, clock: Clock, url: str | None
    ) -> None:
        self.agent = agent
        self.run = ""
        self.data = home.state.data
        self.in_flight: dict[int, Flying] = {}
        self.bells: set[Bell] = set()
        self.healing = False
        self.refused = False  # this run has met the pause: it is over, unless it waits
        self.waiting = False
        self.rings = 0
        self.tell: Callable[[bool], None] = lambda urgent: None
        self.tell_doing: Callable[[str | None], None] = lambda text: None
        self.tell_ended: Callable[[int, str, str | None, str | None], None] = lambda act, name, ok, said: None
        self.tell_failed: Callable[[], None] = lambda: None
        self._home, self._limits, self._clock, self._url = home, limits, clock, url
        self.holds = Holds(self.data, clock)
        self.waits: tuple[str, float] | None = None  # on what, and until when by the wall clock
        self._weather = Weather()
        self._barrier: Barrier | None = self._refusal if self.data.pause else None
        self._end: Barrier | None = None
        self._met: Pause | None = None
        self._held: list[Line] = []
        self._unsaid: Line | None = None
        self._status: tuple[str, float] = ("idle", clock.wall())
        self._doing_since = 0.0
        self.lock = threading.RLock()

    # — the two gates of a guarded step —

    def enter(self, act: Flying) -> None:
        """Let an action begin, or raise what bars it."""
        with self.lock:
            barred = self.barred()
            if barred is not None:
                raise barred
            self.in_flight[act.act] = act
            self._doing_since, self.waits = self._clock.wall(), None
            self._mark()
        self.tell_doing(act.name)

    @harmless(None)
    def ended(
        self, act: Flying, line: Line, *, failure: Line | None = None, ok: str | None = None
    ) -> str | None:
        """Record how an action ended; the id of its failure event when it counted.

        `ok` is the word of its verdict ("" for none) when it succeeded, None when it did not.
        """
        name = line["name"]
        with self.lock:
            if self.in_flight.pop(act.act, None) is None:
                return None  # the run ended before it did, and said so
            before = self.data.account
            counted = self._spooled(line, failure, name)
            if ok is not None:
                self._succeeded(name, ok)
            self.tell_ended(act.act, name, ok, line.get("verdict"))
            if counted is not None or self.data.account is not before:
                self._save(sync=counted is not None)
            self._mark()
            self._quiesced()
        self.tell_doing(self.doing())
        if counted is not None:
            self.tell(True)
        return counted

    @harmless(None)
    def attempted(self, name: str) -> None:
        """A transient failure of one attempt: twenty of them, or ten minutes, and the agent is blocked."""
        with self.lock:
            if self._weather.failed(self._clock.boot()):
                title = f"blocked: {self._weather.sentence(name, self._clock.boot())}"
                self.note({"kind": "signal", "name": "blocked", "level": "warn", "title": title})
                self.tell(True)

    @harmless(None)
    def failed_outside(self, failure: Line) -> str | None:
        """Count a failure that belongs to no action: of a step, or of the run itself."""
        with self.lock:
            counted = self._spooled(None, failure, failure["name"])
            self._save(sync=True)
            self._quiesced()
        self.tell(True)
        return counted

    @harmless(None)
    def step_ended_well(self, name: str) -> None:
        """A step that works ends a streak of failures of that step, as an action would; it proves no more."""
        with self.lock:
            self.healing = False
            streak = self.data.account.streak
            if streak and all(n == name for n in streak):
                self.data.account = replace(self.data.account, streak=())
                self._save(sync=False)

    # — pausing, and what lifts it —

    @property
    def pause(self) -> Pause | None:
        return self.data.pause

    def barred(self) -> BaseException | None:
        """What a guarded step would raise now. Whoever asks raises it, so the run is over with it."""
        if self._end is not None:
            return self._end()
        if self._barrier is not None:
            self.refused, self._met = True, self.data.pause
            return self._barrier()
        # The pause was lifted after this run had met it: the run is over all the same, unless it waited.
        return self._refusal(self._met) if self._met is not None else None

    def go_on(self) -> None:
        """The run waited for the decision, and has it."""
        self.refused, self._met = False, None

    def take(self, pause: Pause) -> bool:
        """Pause the agent; False when it is paused already or this very pause was settled."""
        with self.lock:
            settled = self.data.settled
            if self.data.pause is not None or (settled and settled["pause"] == pause.id):
                return False
            self._pause_now(pause)
            self._save(sync=True)
        self.tell(True)
        return True

    def lift(
        self, pause: str, command: str, verb: str, *, guidance: str | None, probation: bool, said: str = ""
    ) -> bool:
        """Settle the pause with that id, and no other, by a human's `resume`, `start` or `stop`."""
        with self.lock:
            held, settled = self.data.pause, self.data.settled
            if held is None or held.id != pause:
                return False
            if verb == "stop" and held.stopped and settled is not None and settled["pause"] == pause:
                return False
            if verb == "stop":
                held.stopped = True
            else:
                now, account = self._clock.boot(), self.data.account
                self.data.account = _pausing.account_after(held, verb, account, now, probation)
                self.data.pause = None
                self._barrier = None
                self.data.guidance = guidance
            self.data.settled = _pausing.settlement(pause, command, verb, said, self._clock)
            self._save(sync=True)
        self.tell(True)
        self.ring()
        return True

    def bar(self, barrier: Barrier) -> None:
        """End this run at its next safe point without a pause: a signal, a fence, a fork."""
        self._end = barrier
        self.ring()

    def ring(self) -> None:
        """Wake whoever waits; callable from a signal handler."""
        self.rings += 1
        for bell in tuple(self.bells):
            bell.ring()

    # — what the server adds —

    def merge(self, wire: dict[str, Any]) -> None:
        """Take over what only the server saw; what does not fit is left alone."""
        with self.lock:
            account, grown, newest = _pausing.merged(
                self.data.account, wire, self._clock.boot(), since=self._opened_at()
            )
            self.data.account = account
            if grown:
                self._judge(newest)
                self._save(sync=True)

    def crashed(
        self, run: str, failures: Iterable[tuple[str, str]], *, in_flight: str | None, untold: Iterable[Line]
    ) -> None:
        """Settle what an earlier run left: failures it had no time to count, and its own death, once.

        Its death counts when an action was in flight, or when it is the third within ten minutes. The lines
        that tell of it are kept in the state until a run begins, however many starts are refused before.
        """
        with self.lock:
            if not self.data.buried or self.data.buried["run"] != run:
                now = self._clock.boot()
                recent = [at for at in self.data.crashes if now - at < 600.0]
                self.data.crashes = [*recent[-20:], now]
                counted = in_flight is not None or len(self.data.crashes) >= 3
                deaths = [(f"crash-{run}", "crash")] if counted else []
                for id, name in [*failures, *deaths]:
                    self.data.account = budget.fail(self.data.account, budget.Failure(id, name, now))
                self._judge(deaths[0][0] if deaths else None)
                told = _pausing.obituary(run, in_flight, counted, self._clock.wall())
                pause, self._unsaid = self._unsaid, None
                self.data.buried = {"run": run, "lines": [*untold, told, *([pause] if pause else [])]}
                self._save(sync=True)
            for line in self.data.buried["lines"]:
                self.note(dict(line))

    # — telling —

    def begin(self, run: str) -> None:
        """The run is live: what was held for its timeline goes there."""
        with self.lock:
            self.run = run
            held, self._held = self._held, []
            if held:
                self._home.spool.append(*held)

    def over(self) -> None:
        """The run has ended: its spool is closed, and what is noted later waits for the next."""
        with self.lock:
            self._home.spool.end()
            self.run = ""
            if self.barred() is None:
                self._end = lambda: NoRun(f"the run of {self.agent} is over: begin another with agent.run()")

    def forked(self) -> None:
        """In a forked child the lock may be held by a thread that is not there."""
        self.lock = threading.RLock()
        self.in_flight = {}

    def note(self, line: Line) -> None:
        """Put a line into the timeline, now or when a run begins."""
        line.setdefault("at", self._clock.wall())
        with self.lock:
            if self.run:
                self._home.spool.append(line)
            else:
                self._held.append(line)

    def snapshot(self) -> dict[str, Any]:
        """The state as it travels with every batch."""
        with self.lock:
            status, now = self.status(), self._clock.wall()
            if status != self._status[0]:
                self._status = (status, now)
            pause, settled = self.data.pause, self.data.settled
            doing = self.doing()
            return {
                "status": status,
                "since": self._status[1],
                "doing": doing,
                "doing_since": self._doing_since if doing else None,
                "pause": pause.wire() if pause else None,
                "settled": {key: settled.get(key) for key in SETTLED} if settled else None,
                "held": self.holds.calls,
                "account": budget.dump(self.data.account, self._clock.boot()),
            }

    def doing(self) -> str | None:
        """The newest action in flight, or what the agent said that it waits for; and the calls that wait."""
        flying = next((act.name for act in reversed(self.in_flight.values())), None)
        if flying is None and self.waits is not None and self.waits[1] > self._clock.wall():
            flying = self.waits[0]
        return self.holds.doing(flying)

    def status(self) -> str:
        """One word, the highest that holds."""
        pause = self.data.pause
        if self.data.restoring is not None:
            return "restoring"
        if pause is not None:
            return "pausing" if self.in_flight else "stopped" if pause.stopped else "paused"
        if not self.run:
            return "idle"
        if self._weather.blocked:
            return "blocked"
        if self.healing:
            return "healing"
        return "probation" if budget.on_probation(self.data.account, self._clock.boot()) else "running"

    # — inside the lock —

    def _spooled(self, line: Line | None, failure: Line | None, name: str) -> str | None:
        lines = [line] if line is not None else []
        if failure is None:
            self._home.spool.append(*lines)
            return None
        now = self._clock.boot()
        self.tell_failed()
        self.data.account = account = budget.rolled(self.data.account, now)
        failure["consecutive"] = budget.consecutive(account) + 1
        failure["hourly"] = budget.hourly(account, now) + 1
        seq = self._home.spool.append(*lines, failure)[-1]
        id = f"{self.run}-{seq}"
        self.data.account = budget.fail(account, budget.Failure(id, name, now))
        self._weather.counted()
        self._judge(id, _pausing.what_failed(failure))
        return id

    def _judge(self, failure: str | None, what: Line | None = None) -> None:
        """Pause where the budget is spent; whoever calls saves."""
        if self.data.pause is None:
            pause = _pausing.due(self.data.account, self._limits, self._clock, failure, what)
            if pause is not None:
                self._pause_now(pause)

    def _pause_now(self, pause: Pause) -> None:
        pause.in_flight = [act.name for act in self.in_flight.values()][:IN_FLIGHT_SHOWN]
        pause.cause = pause.cause[:PAUSE_TEXT]
        self.data.pause = pause
        self._barrier = self._refusal
        self._unsaid = _pausing.pause_line(pause)

    def _succeeded(self, name: str, word: str) -> None:
        account = self.data.account
        if account.streak or account.probation_actions:
            verdict: Any = word or None
            self.data.account = budget.succeed(account, name, verdict)
        if self._weather.cleared():
            title = f"no longer blocked: {name} answered"
            self.note({"kind": "signal", "name": "unblocked", "level": "info", "title": title})
            self.tell(True)

    def _quiesced(self) -> None:
        """Once nothing is in flight, pausing has become paused."""
        pause = self.data.pause
        if pause is not None and pause.in_flight and not self.in_flight:
            pause.in_flight = []
            self._save(sync=True)
            self.tell(True)
            self.ring()

    def _mark(self) -> None:
        flying = [f"{act.act} {act.name}" for act in self.in_flight.values()]
        self._home.spool.mark("\n".join(flying) if flying else None)

    def _save(self, sync: bool) -> None:
        """The state first; what is said of it after."""
        self._home.state.save(sync=sync)
        unsaid, self._unsaid = self._unsaid, None
        if unsaid is not None:
            self.note(unsaid)
            self.ring()

    def _opened_at(self) -> float:
        """When this account was opened: failures of others before that were seen by who resumed it."""
        settled = self.data.settled
        if not settled or settled.get("verb") == "stop" or settled.get("boot") != self._clock.boot_id:
            return float("-inf")
        return float(settled.get("boot_at") or 0.0)

    def _refusal(self, pause: Pause | None = None) -> BaseException:
        return _pausing.refusal(self.agent, pause or self.data.pause, self._url, self.data.settled)
