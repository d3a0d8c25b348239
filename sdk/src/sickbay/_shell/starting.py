"""Why a program could not be started."""

from __future__ import annotations

import errno
import os


class CannotStart(Exception):
    """The program is not there, or may not be executed; `code` is what a shell would answer."""

    def __init__(self, number: int) -> None:
        super().__init__(os.strerror(number))
        self.code = 127 if number == errno.ENOENT else 126
