"""What became of an action: from a result or an exception to one of five outcomes, as pure rules.

    ok           it returned, and no verification said no
    failed       it raised, or its verification said no: counted, unless transient or counted already
    cancelled    its task was cancelled
    interrupted  something passed through that is no failure: a pause, Ctrl-C, what `passes=` names

A verdict is data, never a search for "no" in a sentence.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from sickbay._transient import More, is_transient, is_turned_away

Outcome = Literal["ok", "failed", "cancelled", "interrupted"]
Word = Literal["pass", "fail", "unknown"]
MARK = "_sickbay_failure"
NOTHING = "_sickbay_nothing_done"  # on an exception: what an adapter knows of its framework's interrupts


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification found.

    Args:
        passed: True, False, or None for "cannot tell".
        why: one sentence for the human who reads the timeline.

    Example:
        Verdict(refund["amount"] == 10, f"refunded {refund['amount']} of 10")
    """

    passed: bool | None
    why: str = ""

    def __post_init__(self) -> None:
        if self.passed is not None and not isinstance(self.passed, bool):
            raise TypeError(f"Verdict(passed) is True, False or None, not {self.passed!r:.60}: write bool(…)")

    @property
    def word(self) -> Word:
        """pass, fail or unknown."""
        return "unknown" if self.passed is None else "pass" if self.passed else "fail"


Verify = Callable[[Any], bool | Verdict | Awaitable[bool | Verdict | None] | None]


def verdict_of(answer: Any) -> Verdict:
    """What a verify callable's answer means; anything but True, False, None or a Verdict is unknown."""
    if isinstance(answer, Verdict):
        return answer
    if answer is None or isinstance(answer, bool):
        return Verdict(answer)
    kind = type(answer).__name__
    return Verdict(
        None, f"verify answered {_article(kind)}, which is neither True, False, None nor a Verdict"
    )


def verdict_of_raise(error: Exception) -> Verdict:
    return Verdict(None, f"verify raised {type(error).__name__}: {error}")


@dataclass(frozen=True, slots=True)
class Ruling:
    """How an exception counts. `because` is the failure that was counted already, if one was."""

    outcome: Outcome
    counted: bool = False
    transient: bool = False
    because: str | None = None


def ruling_of(
    error: BaseException, since: int, passes: tuple[type[BaseException], ...], transient: More
) -> Ruling:
    """How an exception that came out of an action counts.

    `since` is the number of that action: what an inner action recorded has a higher one, and the same
    exception object raised anew by a later action has not.
    """
    if is_cancellation(error):
        return Ruling("cancelled")
    if not isinstance(error, Exception) or isinstance(error, passes):
        return Ruling("interrupted")
    known = known_failure(error, since)
    if known is not None:
        return Ruling("failed", transient=known == "", because=known or None)
    if is_transient(error, transient):
        return Ruling("failed", transient=True)
    return Ruling("failed", counted=True)


def effect_of(verdict: Verdict | None, ruling: Ruling | None, error: BaseException | None) -> str:
    """What became of an effect: done when it returned, whatever its verdict; a time-out or a cut may have
    reached the world, unless it was turned away at the door."""
    if ruling is None or verdict is not None:
        return "done"
    if getattr(error, NOTHING, False):
        return "failed"
    turned_away = error is not None and is_turned_away(error)
    return "failed" if ruling.outcome == "failed" and (turned_away or not ruling.transient) else "unknown"


def is_cancellation(error: BaseException) -> bool:
    # Whoever raises asyncio's CancelledError has imported asyncio; importing it here would cost 30 ms.
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and isinstance(error, asyncio.CancelledError)


def known_failure(error: BaseException | None, since: int) -> str | None:
    """The failure event that this exception, or what it was raised from, was recorded as.

    "" stands for one that was recorded and not counted, None for one that nobody recorded.
    """
    for _ in range(20):
        if error is None:
            return None
        failure, act = getattr(error, MARK, None) or ("", -1)
        if act > since:
            return str(failure)
        if isinstance(error, ExceptionGroup):
            known = [known_failure(e, since) for e in error.exceptions]
            return None if None in known else next((k for k in known if k), "")
        error = error.__cause__
    return None


def mark(error: BaseException, failure: str | None, act: int) -> None:
    """Remember on the exception itself that it has been recorded, so that it counts once."""
    with contextlib.suppress(AttributeError):  # one with slots may be counted again by an outer action
        setattr(error, MARK, (failure or "", act))


def _article(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"
