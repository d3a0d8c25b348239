"""Logs: one JSON line an event, on stdout; whoever started the process decides where they go.

`SICKBAY_LOG` sets the level (default warning). A request's lines share its id; a plain request writes no
line, a refused one a warning, a failed one an error with its trace.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any

import structlog

LINK = re.compile(r"(/welcome/)[^/\s]{20,}")  # a sign-in link: whoever reads it may be the administrator


def without_links(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key in ("event", "request"):
        if isinstance(event.get(key), str):
            event[key] = LINK.sub(r"\1…", event[key])
    return event


SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.UnicodeDecoder(),
    without_links,
]


def logging_settings(level: str) -> dict[str, Any]:
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    json = {
        "()": structlog.stdlib.ProcessorFormatter,
        "processors": [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        "foreign_pre_chain": SHARED,
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": json},
        "handlers": {
            "stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "json"}
        },
        "root": {"handlers": ["stdout"], "level": level.upper()},
        "loggers": {"django": {"handlers": [], "level": level.upper(), "propagate": True}},
    }
