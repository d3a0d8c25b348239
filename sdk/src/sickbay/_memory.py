"""An agent's memory must survive JSON unchanged: what would not is named by its path (tree.faults)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sickbay.tree.faults import faults_in


@dataclass(frozen=True, slots=True)
class Memory:
    """How to save and load a memory that is no plain dict.

    Args:
        save: called without arguments, returns JSON-able data.
        load: called with what `save` returned, puts it back.

    Example:
        Memory(save=lambda: graph.dump(), load=graph.restore)
    """

    save: Callable[[], Any]
    load: Callable[[Any], None]


def fault(value: Any) -> str | None:
    """The first thing JSON would change in silence, as the sentence to show; None when there is none."""
    return next((str(found) for found in faults_in(value)), None)
