"""What to go back to, and what of the workspace is left as it is."""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sickbay._ignore import DEFAULTS, Rules


@dataclass(slots=True)
class Order:
    """What to go back to. `command` is the server's; None when the agent goes by itself."""

    checkpoint: str
    memory: str | None
    workspace: str | None
    at: float = 0.0
    by: str = ""
    why: str = ""
    asked_by: str = "agent"
    rollback: str = field(default_factory=lambda: str(uuid.uuid4()))
    command: dict[str, Any] | None = None
    scope: dict[str, Any] = field(default_factory=lambda: {"memory": True, "workspace": True, "paths": None})
    before: str | None = None
    label: str | None = None

    @property
    def wants_memory(self) -> bool:
        return self.memory is not None and self.scope.get("memory") is not False

    @property
    def wants_files(self) -> bool:
        return self.workspace is not None and self.scope.get("workspace") is not False


def left_out(text: bytes, left: dict[str, str]) -> Callable[[bytes, os.stat_result], bool]:
    """What snapshots leave out: by rules, and what the last one could not keep."""
    rules = Rules([*(os.fsencode(rule) for rule in DEFAULTS), *text.split(b"\n")])

    def leaves_out(path: bytes, found: os.stat_result) -> bool:
        names = path.split(b"/")
        above = [b"/".join(names[:n]) for n in range(1, len(names))]
        if any(rules.ignores(folder, True) or os.fsdecode(folder) in left for folder in above):
            return True
        return os.fsdecode(path) in left or rules.ignores(path, stat.S_ISDIR(found.st_mode))

    return leaves_out


def unproven(order: Order) -> str:
    """What is said of a rollback after which another state stands there than was put back."""
    return f"rolled back to {order.label or order.checkpoint[:8]}, and what is there now is something else"
