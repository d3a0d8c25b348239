"""Who speaks: what register tells the server about an agent, its process and its host."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sickbay._errors import BadArgument
from sickbay.budget import Budget


@dataclass(frozen=True, slots=True)
class Identity:
    """One process of one instance. `process` is 32 hex digits, the same as long as the process lives.

    `beat` False: the host freezes between calls; nothing listens, and silence alarms nobody.
    """

    agent: str
    instance: str
    process: str
    host: str = ""
    pid: int = 0
    boot: str = ""
    sdk: str = ""
    python: str = ""
    code_version: str | None = None
    about: str | None = None
    owner: str | None = None
    runbook: str | None = None
    while_paused: str | None = None
    every_s: float | None = None
    grace_s: float | None = None
    heal: bool = True
    beat: bool = True
    budget: Budget = field(default_factory=Budget)

    def wire(self) -> dict[str, Any]:
        body = {name: getattr(self, name) for name in self.__slots__}
        limits = {"max_consecutive": self.budget.max_consecutive, "max_hourly": self.budget.max_hourly}
        return {**body, "budget": limits}


def checked_url(url: str) -> str:
    """The server's address without a slash at its end; BadArgument says how one looks."""
    from urllib.parse import urlsplit  # only agents with a server pay for it

    try:
        parts = urlsplit(url.strip())
        port_is_right = parts.port is None or parts.port > 0
    except (ValueError, AttributeError):
        parts, port_is_right = urlsplit(""), False
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_right:
        raise BadArgument(f"url= (or SICKBAY_URL) {url!r} is no address: write 'https://sickbay.example.com'")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise BadArgument(
            "url= (or SICKBAY_URL) holds more than an address: write 'https://sickbay.example.com' and give "
            "the token as token= or SICKBAY_TOKEN"
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
