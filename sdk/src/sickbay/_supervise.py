"""The loop that runs for weeks: step, heal, pause, wait, go on.

step ends well     → the next step
a failure          → counted, unless an action counted it; again after 1, 2, 4 … 60 s
left early         → by what `passes=` names: no failure and no success; the next step after 1, 2, 4 … 60 s
the budget spent   → wait for the decision, take over the guidance, go on
stopped            → one line in the log, and the loop returns, also when it starts stopped
SIGTERM            → the loop returns at the next safe point: between actions, between steps, while waiting
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Awaitable, Callable
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from sickbay import _report
from sickbay._endings import is_pause
from sickbay._errors import AgentStopped, BadArgument
from sickbay._flow import Flow, Rest, adrive, backoff, drive
from sickbay._guard import log
from sickbay._lazy import refusal_of_step
from sickbay._life import Leaving, Life
from sickbay._run import RunBase, name_of
from sickbay._ward import Ward

if TYPE_CHECKING:
    from sickbay._entering import Entering


def supervise(entering: Entering, step: Callable[[Any], Any]) -> None:
    """The loop, in the calling thread."""
    _check(step)
    life = entering.life
    with Ends(life), entering as run:
        drive(stepping(run, step, life), life)


async def asupervise(entering: Entering, step: Callable[[Any], Awaitable[Any]]) -> None:
    """The loop, in the running event loop."""
    _check(step)
    life = entering.life
    with Ends(life):
        async with entering as run:
            await adrive(stepping(run, step, life), life)


def stepping(run: RunBase, step: Callable[[Any], Any], life: Life) -> Flow[None]:
    """Step after step, until something ends it by raising."""
    name, ward, ledger = name_of(step), life.ward, life.ledger
    failures, last = 0, ""
    while True:
        if life.is_leaving:
            raise Leaving
        if ledger.pause is not None:
            yield from life.keeping("pause", "when it paused")
            yield from life.deciding(last)
            failures, last = 0, ""
        since, rings = ward.begun, ledger.rings
        try:
            answer = yield step, (run,)
        except BaseException as error:
            if is_pause(error) and ledger.pause is not None:
                last = _said(error.__cause__, ward)
                continue
            if not isinstance(error, Exception):
                raise
            failures += 1
            if isinstance(error, ward.passes):
                yield from ward.points.between_steps(None)
                if ledger.pause is None:
                    yield Rest(backoff(failures), rings)
                continue
            failed(life, name, error, since)
            last = _said(error, ward)
            ledger.healing = life.heals
            yield from ward.points.between_steps(last)
            if ledger.pause is None:
                yield Rest(backoff(failures), rings)
            continue
        refusal = refusal_of_step(name, answer)
        if refusal is not None:
            raise refusal
        failures = 0
        if ledger.pause is None:
            ledger.step_ended_well(name)
            yield from ward.points.between_steps(None)


def _check(step: Any) -> None:
    """Refuse what can never be a step, before a run begins that would fail of it."""
    import inspect  # 10 ms, once a loop

    if not callable(step):
        raise BadArgument(f"supervise({step!r:.60}): write a function of the run, such as def step(run): …")
    try:
        inspect.signature(step).bind(None)
    except TypeError as error:
        raise BadArgument(
            f"supervise({name_of(step)}): a step is called with the run and nothing else ({error}): "
            f"write def step(run): …, and give it more with functools.partial"
        ) from None
    except ValueError:
        return  # written in C, without a signature: the first call says


def failed(life: Life, name: str, error: Exception, since: int) -> None:
    """Count what came out of a step, once: an action in it may have done so."""
    ward = life.ward
    ruling = ward.ruling(error, since)
    if ruling.counted:
        life.ledger.failed_outside(_report.loose_failure(name, ward.clock.wall(), error, ward.recorder))
    elif ruling.transient and ruling.because is None and not _told(error, since):
        life.ledger.attempted(name)


def _told(error: Exception, since: int) -> bool:
    from sickbay._outcome import known_failure

    return known_failure(error, since) is not None


def _said(error: BaseException | None, ward: Ward) -> str:
    """As the log may say it: masked, and without the frames, which would live as long as the wait."""
    if error is None:
        return ""
    told = _report.told_error(error, ward.recorder, "all")
    return f"{told['type']}: {told['message']}"


class Ends:
    """Where the loop ends without an error: at a human's stop, and at the safe point after a SIGTERM.

    In the main thread SIGTERM is caught while this is entered; the handler that was there is called as well,
    and is back afterwards. A stop is no error of the program: it is said once, and a process that ends with
    code 0 is not started again by whatever restarts what has failed.
    """

    def __init__(self, life: Life) -> None:
        self._life = life
        self._before: Any = None
        self._ours = False

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._caught)
            self._ours = True

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> bool:
        if self._ours and self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
        if not isinstance(error, AgentStopped) or error.agent != self._life.name:
            return isinstance(error, Leaving)
        if error.pause:  # a fence has been said when it fell
            log.warning("sickbay: %s", error)
        return True

    def _caught(self, number: int, frame: FrameType | None) -> None:
        self._life.leave()
        if callable(self._before):
            self._before(number, frame)
