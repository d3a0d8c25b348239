"""Named places to die at, for tests of what a kill leaves behind.

`SICKBAY_FAILPOINT=alerts:claimed` dies there; with `:3` behind it, at the third passing.
"""

from __future__ import annotations

import os
import re

_ARMED = re.fullmatch(r"(.+?)(?::(\d+))?", os.environ.get("SICKBAY_FAILPOINT", ""))
_left = int(_ARMED[2] or 1) if _ARMED else 0


def failpoint(name: str) -> None:
    """Die here, if this is the place and the time."""
    global _left
    if _ARMED is None or _ARMED[1] != name:
        return
    _left -= 1
    if _left == 0:
        os._exit(137)
