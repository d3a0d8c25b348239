"""The primitive: one thing an agent does, recorded, verified and counted. `execute` and tools are made of it.

    begin   barred? → AgentPauseRequired.  Its input is recorded now: the action may change it.
    act     the host's own code, as often as `retries` allows
    judge   verify(result) → pass, fail or unknown
    end     one line in the timeline, at most one counted failure, and what the caller is told:
            the result · ActionFailed · AgentPauseRequired · what passed through, unchanged

`performed` (_performing) is that flow, written once: a generator that yields what is to be called. Two short
drivers run it, one calls, the other awaits.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar, Token
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from sickbay import _holding, _once, _outcome, _report
from sickbay._errors import ActionFailed, EffectRefused
from sickbay._flow import Flow, adrive, drive
from sickbay._guard import log
from sickbay._mask import INPUT, OUTPUT, TITLE, Record
from sickbay._outcome import Ruling, Verdict, Verify
from sickbay._ward import Ward

current: ContextVar[Action | None] = ContextVar("sickbay_action", default=None)


@dataclass(slots=True)
class Ended:
    """How it ended for the caller: a result, or what to raise and from what."""

    result: Any = None
    error: BaseException | None = None
    cause: BaseException | None = None

    def told(self) -> Any:
        if self.error is None:
            return self.result
        if self.cause is None:
            raise self.error
        raise self.error from self.cause


class Action:
    """One action of a run; made by `run.action(…)` and `run.begin(…)`.

    Set `result` inside the `with` block; it is what is recorded and verified. Or, after `run.begin`, call
    `end(result)` or `end(error=exception)` once.

    Example:
        with run.action("search", input=query, verify=bool) as act:
            act.result = index.search(query)
    """

    __slots__ = (
        "_begun", "_done", "_intended", "_record", "_token", "act", "again", "already", "attempts", "claimed",
        "confirm", "expected", "external", "input", "key", "name", "parent", "result", "state", "took_ms",
        "verify", "ward",
    )  # fmt: skip

    def __init__(
        self,
        ward: Ward,
        name: str,
        given: Any,
        expected: str | None,
        verify: Verify | None,
        external: bool,
        key: str | None,
        record: Record,
        again: bool = False,
        confirm: Callable[[str], Any] | None = None,
    ) -> None:
        self.again, self.confirm, self.already = again, confirm, ""
        self.state = "none"  # of the effect, once it has ended; none: it reached nothing
        self.claimed = self._intended = False
        self.ward, self._record = ward, record
        self.name, self.expected, self.verify, self.external, self.key = name, expected, verify, external, key
        self.input: Any = given
        self.result: Any = None
        self.act = 0
        self.parent: int | None = None
        self.attempts = 1
        self.took_ms = 0.0
        self._begun = 0.0
        self._done = False
        self._token: Token[Action | None] | None = None

    # — with —

    def __enter__(self) -> Action:
        return self.start()._entered()

    def _entered(self) -> Action:
        self._token = current.set(self)
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        self._leave()
        if not self._done:
            _settled(drive(self.closing(self.result, error)), error)

    async def __aenter__(self) -> Action:
        return (await adrive(self._starting(), self.ward))._entered()

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        self._leave()
        if not self._done:
            _settled(await adrive(self.closing(self.result, error)), error)

    def _leave(self) -> None:
        token, self._token = self._token, None
        if token is not None:
            restored_to(token)

    # — begin and end —

    def end(self, result: Any = None, *, error: BaseException | None = None) -> None:
        """End an action that `run.begin` began; a second call does nothing.

        Args:
            result: what it came to; verified when the action has a `verify`.
            error: the exception it ended with. It is recorded, not raised: the caller has it already.

        Raises:
            ActionFailed: the verification of the result failed.
            AgentPauseRequired: this spent the budget.
        """
        if self._done:
            return
        ended = drive(self.closing(result, error))
        if error is None or not isinstance(ended.error, ActionFailed | None):
            _settled(ended, error)

    def start(self) -> Action:
        """Begin, once its tool is not held, or raise what bars it."""
        return drive(self._starting(), self.ward)

    def _starting(self) -> Flow[Action]:
        points = self.ward.points
        while True:
            if points.has_to_stop:
                yield from points.before(self.external)
            if self.key is not None and not self.again:
                _once.refuse(self)
            if not self.ward.ledger.holds.tools or not (yield from _holding.aside(self)):
                break
        if self.external:
            yield from points.before_effect()
        try:
            return self.begun()
        except EffectRefused as refused:
            yield from self.ending(Ended(error=refused))
            raise

    def begun(self, *, intends: bool = True) -> Action:
        """Begin, at a safe point; `intends`: it will reach the outside world now."""
        ward = self.ward
        outer = current.get()
        self.parent = outer.act if outer is not None and outer.ward is ward and not outer._done else None
        self.act = ward.begun = next(ward.acts)
        self.input = ward.recorder.value(self.input, INPUT, self._record)
        ward.ledger.enter(self)
        if self.external and intends:
            self._intend()
        self._begun = time.perf_counter()
        return self

    def _intend(self) -> None:
        """Before an effect runs, its intent is on disk: one with a key does not run without."""
        ward = self.ward
        unwritten = ward.effects.intend(self.name, self.key, self.input, f"{ward.run}-{self.act}")
        if unwritten is not None and self.key is not None:
            refused = EffectRefused(self.name, self.key, str(ward.effects.path.parent), unwritten)
            self.failed(refused, Ruling("failed", transient=True)).told()
        self._intended = True
        line = {"kind": "effect", "name": self.name, "key": self.key, "act": self.act, "input": self.input}
        title = f"{self.name}{_report.gist(self.input)}: begun"[:TITLE]
        ward.ledger.note({**line, "confirms": self.confirm is not None, "title": title})

    def judging(self, result: Any) -> Flow[Verdict]:
        """Ask the verifier."""
        assert self.verify is not None
        try:
            answer = yield self.verify, (result,)
        except Exception as error:
            return _outcome.verdict_of_raise(error)
        return _outcome.verdict_of(answer)

    def closing(self, result: Any, error: BaseException | None) -> Flow[Ended]:
        """Judge and end in one go, for a result that is there already."""
        if error is not None:
            return (yield from self.ending(self.failed(error)))
        try:
            verdict = (yield from self.judging(result)) if self.verify is not None else None
        except BaseException as passing:
            return (yield from self.ending(self.failed(passing)))
        return (yield from self.ending(self.returned(result, verdict)))

    def ending(self, ended: Ended) -> Flow[Ended]:
        """It is recorded. A safe point, when nothing else is in flight: what must be undone is."""
        points = self.ward.points
        points.note(ended.error)
        if not points.wants():
            return ended
        to = yield from points.after(self.name)
        if to is not None and isinstance(ended.error, ActionFailed):
            ended.error.rolled_back_to = to
        barred = self.ward.ledger.barred()
        if barred is not None and isinstance(ended.error, ActionFailed):
            return Ended(error=barred, cause=ended.error)
        return ended

    def returned(self, result: Any, verdict: Verdict | None) -> Ended:
        """It returned: record it, and say what the caller gets."""
        ward = self.ward
        if verdict is None or verdict.passed is not False:
            self._record_end(result, verdict, None, None)
            return Ended(result)
        ruling = Ruling("failed", counted=True)
        failure = self._record_end(result, verdict, None, ruling)
        why = verdict.why or (f"expected {self.expected}" if self.expected else "its verification said no")
        failed = ActionFailed(
            f"{self.name} is not as expected: {why}",
            action=self.name, verdict=verdict, result=result, failure=failure,
        )  # fmt: skip
        _outcome.mark(failed, failure, self.act)
        barred = ward.ledger.barred()
        return Ended(error=failed) if barred is None else Ended(error=barred, cause=failed)

    def failed(self, error: BaseException, ruling: Ruling | None = None) -> Ended:
        """It raised: record it, and say what the caller gets; `ruling` says how it counts, if known."""
        ward = self.ward
        ruling = ruling or ward.ruling(error, self.act)
        failure = self._record_end(self.result, None, error, ruling)
        if ruling.outcome != "failed":
            return Ended(error=error)
        failure = failure or ruling.because
        _outcome.mark(error, failure, self.act)
        barred = ward.ledger.barred()
        if barred is not None:
            return Ended(error=barred, cause=error)
        if isinstance(error, ActionFailed):
            return Ended(error=error)
        message = f"{self.name} raised {type(error).__name__}: {_report.message_of(error)}"
        failed = ActionFailed(message, action=self.name, failure=failure, transient=ruling.transient)
        _outcome.mark(failed, failure, self.act)
        return Ended(error=failed, cause=error)

    def withdrawn(self) -> None:
        """It was called wrongly and did nothing: neither a failure nor a success."""
        self._record_end(None, None, None, Ruling("cancelled"))

    def abandoned(self) -> None:
        """The run ends, and nobody ended this."""
        self._record_end(self.result, None, None, Ruling("interrupted"))

    def _record_end(
        self, result: Any, verdict: Verdict | None, error: BaseException | None, ruling: Ruling | None
    ) -> str | None:
        """Into the timeline and the account; the id of the failure when it counted."""
        if self._done:
            return None
        self._done = True
        self.took_ms = round((time.perf_counter() - self._begun) * 1000, 3)
        ward = self.ward
        if self._intended:  # the ledger first: what the timeline has of an effect stands there too
            self.state = _outcome.effect_of(verdict, ruling, error)
            kept = result if self._record == "all" else None
            ward.effects.outcome(f"{ward.run}-{self.act}", self.state, kept)
        if ruling is None:
            line, _ = self._lines(result, verdict, error, None)
            failure = ward.ledger.ended(self, line, ok=verdict.word if verdict else "")
        else:
            if ruling.transient and not ruling.because:
                ward.ledger.attempted(self.name)
            line, extra = self._lines(result, verdict, error, ruling)
            failure = ward.ledger.ended(self, line, failure=extra)
        self.release()
        return failure

    def release(self) -> None:
        """Its key may be used by another action again."""
        if self.claimed and self.key is not None:
            self.claimed = False
            self.ward.effects.release(self.key)

    def _lines(
        self, result: Any, verdict: Verdict | None, error: BaseException | None, ruling: Ruling | None
    ) -> tuple[_report.Line, _report.Line | None]:
        """The action's line, and its failure's when it counts. A bug of ours costs words, not the count."""
        at = self.ward.clock.wall()
        try:
            line, told, title = self._told(at, result, verdict, error, ruling)
        except Exception:
            log.exception("sickbay: a bug of ours while recording %s; the agent goes on", self.name)
            line, told, title = _report.bare_line(self, at, ruling), None, self.name
        if ruling is None or not ruling.counted:
            return line, None
        kind, message = (told["type"], told["message"]) if told else (None, title)
        return line, _report.failure_line(self, line, verdict, error, kind, message, title)

    def _told(
        self,
        at: float,
        result: Any,
        verdict: Verdict | None,
        error: BaseException | None,
        ruling: Ruling | None,
    ) -> tuple[_report.Line, _report.Line | None, str]:
        recorder = self.ward.recorder
        output = recorder.value(result, OUTPUT, self._record)
        line = _report.action_line(self, recorder, at=at, output=output, verdict=verdict, ruling=ruling)
        told = None if error is None else _report.told_error(error, recorder, self._record)
        how = _report.ending(verdict, told, ruling, line.get("why", ""))
        if self.already:
            line["outcome"] = "already" if ruling is None else line["outcome"]
            how = f": {self.already}{how}"
        line["title"] = f"{self.name}{_report.gist(self.input)}{how}"[:TITLE]
        if told is not None:
            line["error"] = told
        return line, told, f"{self.name}{how}"[:TITLE]


def _settled(ended: Ended, error: BaseException | None) -> None:
    """Raise what is to be raised; what passes through goes on by itself."""
    if ended.error is not None and ended.error is not error:
        ended.told()


def restored_to(token: Token[Action | None]) -> None:
    try:
        current.reset(token)
    except ValueError:
        current.set(None)  # left in another context than it was entered in
