"""Our own bugs are logged, never raised into the host."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger("sickbay")


def harmless(otherwise: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function answer `otherwise`, with a log entry, where it would have raised an Exception."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return function(*args, **kwargs)
            except Exception:
                log.exception("sickbay: a bug of ours in %s; the agent goes on", function.__qualname__)
                return cast(R, otherwise)

        return guarded

    return decorate
