"""Why a program could not be started."""

from __future__ import annotations

import errno
import os


class CannotStart(BaseException):
    """The program is not there, or may not be executed; `code` is what a shell would answer.

    No Exception: it ends the watch, and says nothing of the program.
    """

    def __init__(self, number: int) -> None:
        super().__init__(os.strerror(number))
        self.code = 127 if number == errno.ENOENT else 126
