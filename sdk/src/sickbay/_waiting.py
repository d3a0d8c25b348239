"""Saying that the agent waits on purpose: on a long job, a queue, a night. It is shown, and is no failure."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from sickbay._errors import BadArgument

if TYPE_CHECKING:
    from sickbay._ledger import Ledger

LONGEST = 31 * 86_400.0


def say(ledger: Ledger, seconds: float, what: str, now: float) -> None:
    """Until then, or the next action, this is what the agent does."""
    barred = ledger.barred()
    if barred is not None:
        raise barred
    until = now + seconds
    clock = time.strftime("%H:%M:%S", time.gmtime(until))
    text = f"waits{f' for {what}' if what else ''} until {clock} UTC"[:200]
    with ledger.lock:
        ledger.waits = (text, until)
    ledger.note({"kind": "signal", "name": "waiting", "level": "info", "title": text, "seconds": seconds})
    ledger.tell_doing(text)


def check(seconds: float, what: str) -> None:
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not math.isfinite(seconds) or not 0 < seconds <= LONGEST:
        raise BadArgument(f"run.waiting({seconds!r:.40}): write for how many seconds at most, up to 31 days")
    if not isinstance(what, str):
        raise BadArgument(f"run.waiting(…, {what!r:.40}): write in a few words what it waits for")
