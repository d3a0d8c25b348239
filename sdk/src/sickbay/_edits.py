"""Hand edits: what differs from the last snapshot while nothing of the agent ran.

Looked for while a pause holds and before a rollback that was ordered meanwhile; the server is told the
paths, at most 200 of them, so that whoever is about to roll back sees what goes aside. Only then does a
rollback keep such files aside, beside the checkpoint that it takes: what a running agent changed is its work.

A look costs a listing of the workspace, so the next one waits a hundred times as long as it took.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from sickbay._errors import SickbayError
from sickbay._guard import harmless, log

if TYPE_CHECKING:
    from sickbay._folder import Folder
    from sickbay._keeper import Keeper
    from sickbay._shipping import Shipping

MOST, LONGEST = 200, 1_000
AT_LEAST = 15.0
RESTS = 100.0  # a look takes at most a hundredth of the time


class Edits:
    """The hand edits of one life. `look` blocks: it lists the workspace and may ask the server."""

    def __init__(self, keeper: Keeper, reaches: Callable[[], Shipping | None]) -> None:
        self._keeper, self._reaches = keeper, reaches
        self._told: tuple[str, ...] | None = None
        self._rest = AT_LEAST

    @property
    def rest(self) -> float | None:
        """Until when to look again, in seconds; None where there is nothing to look at, or nobody to tell."""
        return self._rest if self._keeper.workspace is not None and self._reaches() is not None else None

    @harmless(None)
    def look(self) -> Folder | None:
        """The last snapshot's directory, if something was changed by hand since; the server is told."""
        from sickbay._folder import WorkspaceRefused

        workspace = self._keeper.workspace
        if workspace is None:
            return None
        began = time.monotonic()
        try:
            found = workspace.edited()
        except (OSError, SickbayError, WorkspaceRefused) as error:
            log.debug("sickbay: hand edits could not be looked for: %s", error)
            return None
        self._rest = max(AT_LEAST, RESTS * (time.monotonic() - began))
        if found is None:
            return None
        last, changes = found
        self._tell(tuple(change.path for change in changes))
        return last if changes else None

    def _tell(self, paths: tuple[str, ...]) -> None:
        """Once, until it changes; that there are none, too: the server may know of earlier ones."""
        shipping = self._reaches()
        if shipping is None or paths == self._told:
            return
        shown = [os.fsencode(path).decode("utf-8", "replace")[:LONGEST] for path in paths[:MOST]]
        try:
            shipping.edits(shown, max(0, len(paths) - MOST))
        except SickbayError as error:
            log.debug("sickbay: hand edits could not be told: %s", error)
            return
        self._told = paths
