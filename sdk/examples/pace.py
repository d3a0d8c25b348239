"""What the examples share: where they keep their files, and how fast they go.

`SICKBAY_DEMO_DIR` is the folder for their workspaces (default `demo-work` here), `SICKBAY_DEMO_PACE` the
seconds between two steps (default 1.0). Tests set the pace to 0.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path


def workspace(name: str) -> Path:
    """The folder of one example, made when it is missing."""
    path = Path(os.environ.get("SICKBAY_DEMO_DIR", "demo-work")) / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def rest(share: float = 1.0) -> None:
    """Wait between two steps, so that a person can watch."""
    threading.Event().wait(float(os.environ.get("SICKBAY_DEMO_PACE", "1.0")) * share)
