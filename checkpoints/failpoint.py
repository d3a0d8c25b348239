"""Named places to die at, for tests of what a kill leaves behind."""

from __future__ import annotations

import os


def failpoint(name: str) -> None:
    if os.environ.get("SICKBAY_FAILPOINT") == name:
        os._exit(137)
