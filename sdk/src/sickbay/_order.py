"""What to go back to, and what of the workspace is left as it is."""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sickbay._ignore import DEFAULTS, Rules
from sickbay.tree.paths import entry_at, entry_name

if TYPE_CHECKING:
    from sickbay._restore import Restored
    from sickbay._shelf import Taken


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

    @classmethod
    def of(cls, taken: Any) -> Order:
        """Back to this checkpoint, as it is known here or at the server."""
        return cls(taken.id, taken.memory, taken.workspace, taken.at, label=taken.label)

    @property
    def went_back(self) -> str:
        """What the checkpoint after it is called."""
        return f"rolled back to {self.label or self.checkpoint[:8]}"[:200]

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


def evidence(
    order: Order, found: Taken | None, restored: Restored | None, here: Callable[[list[bytes]], Any]
) -> dict[str, Any]:
    """What the server compares with the checkpoint; `found` is what was taken afterwards."""
    paths = order.scope.get("paths") if order.wants_files else None
    root = bytes.fromhex(found.workspace) if found is not None and found.workspace else None
    return {
        "state": "applied",
        "memory": found.memory if found is not None and order.wants_memory else None,
        "workspace": found.workspace if found is not None and order.wants_files else None,
        "paths": {path: entry_name(entry_at(root, path, here)) for path in paths} if paths else None,
        "kept": [path[:1000] for path in restored.kept[:1000]] if restored is not None else [],
    }
