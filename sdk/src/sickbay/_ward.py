"""The ward: what the actions of one run share, and where its flows rest."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sickbay import _outcome
from sickbay._clock import Clock, LoopBell, ThreadBell
from sickbay._flow import Rest
from sickbay._mask import Recorder
from sickbay._outcome import Ruling
from sickbay._transient import More

if TYPE_CHECKING:
    from sickbay._effects import Effects
    from sickbay._ledger import Ledger
    from sickbay._safe_points import SafePoints


@dataclass(slots=True)
class Ward:
    """What the actions of one run share."""

    run: str
    ledger: Ledger
    effects: Effects
    recorder: Recorder
    clock: Clock
    passes: tuple[type[BaseException], ...]
    transient: More
    acts: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    begun: int = 0
    points: SafePoints = field(init=False)

    def ruling(self, error: BaseException, since: int) -> Ruling:
        return _outcome.ruling_of(error, since, self.passes, self.transient)

    def rest(self, rest: Rest) -> None:
        ledger, bell = self.ledger, ThreadBell()
        ledger.bells.add(bell)
        try:
            if ledger.rings == rest.rings:
                self.clock.wait(bell, rest.seconds)
        finally:
            ledger.bells.discard(bell)

    async def arest(self, rest: Rest) -> None:
        ledger, bell = self.ledger, LoopBell()
        ledger.bells.add(bell)
        try:
            if ledger.rings == rest.rings:
                await self.clock.awaiting(bell, rest.seconds)
        finally:
            ledger.bells.discard(bell)
