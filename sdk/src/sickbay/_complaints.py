"""What stands between an agent and its server, said once, then only when the reason changes."""

from __future__ import annotations

import logging
from pathlib import Path

from sickbay._errors import SickbayError, TokenRefused
from sickbay._identity import unregistered
from sickbay._sender import Failed

REFUSED_WAIT = 60.0
UNREADABLE = (400, 413, 422)
log = logging.getLogger("sickbay")


class Complaints:
    """The complaints of one link. `now`: why the last turn did not get through."""

    def __init__(self, agent: str, directory: Path) -> None:
        self._agent, self._directory = agent, directory
        self._kind = self.now = ""

    def failed(self, error: SickbayError) -> Failed:
        """The agent goes on, the spool keeps."""
        from sickbay._wire import NotAnswered

        self.now = str(error)
        kind = f"{type(error).__name__} {getattr(error, 'status', '')}"
        if kind != self._kind:
            self._kind = kind
            why, kept = str(error).rstrip("."), f"Everything is kept in {self._directory}"
            if getattr(error, "status", 0) in UNREADABLE:  # a batch's were dealt with: this is register's
                log.error("sickbay: %s. %s. %s", why, unregistered(self._agent), kept)
            else:
                log.warning("sickbay: %s. %s and sent later", why, kept)
        if isinstance(error, NotAnswered):
            return Failed(error.wait)
        return Failed(REFUSED_WAIT if isinstance(error, TokenRefused) else 0.0)

    def late(self, why: str) -> str:
        """It did not answer in the time that whoever asked has; the request goes on."""
        if not self._kind:
            self._kind = "late"
            log.warning("sickbay: %s. Everything is kept in %s and sent later", why, self._directory)
        return why

    def reached(self) -> None:
        if self._kind:
            self._kind = ""
            log.info("sickbay: the server answers again")
