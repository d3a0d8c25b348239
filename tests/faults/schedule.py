"""How often faults strike, and when: short on every change, long by hand (`--faults=long`).

The short form has a fixed seed. The long one has another each time, told at the end of the session and
beside whatever fails; `--faults-seed` plays it again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

FIXED = 17


@dataclass(frozen=True)
class Schedule:
    """What a test asks: how many rounds, and which dice."""

    is_long: bool
    seed: int

    def rounds(self, short: int, long: int) -> range:
        return range(long if self.is_long else short)

    def dice(self, name: str) -> random.Random:
        print(f"{name}: --faults={'long' if self.is_long else 'short'} --faults-seed={self.seed}")
        return random.Random(f"{self.seed} {name}")


def made(form: str, seed: int | None) -> Schedule:
    is_long = form == "long"
    if seed is None:
        seed = random.SystemRandom().randrange(10**6) if is_long else FIXED
    return Schedule(is_long, seed)
