"""The mail server and the networks that alerts may reach, from the environment.

`SICKBAY_SMTP_URL` is `smtp://user:password@host:25`, `smtp+starttls://…:587` or `smtps://…:465`.
`SICKBAY_ALERT_ALLOW_CIDRS` names private networks where webhooks may go, like `10.1.0.0/16,127.0.0.1/32`.
"""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}


def mail_settings(url: str) -> dict[str, Any]:
    """Django's settings; without an address no mail is sent, and alerts by e-mail say so."""
    try:
        parts = urlsplit(url)
        port, known = parts.port, parts.scheme in PORTS and bool(parts.hostname)
    except ValueError:  # a port that is no number, a bracket that is not closed
        known = False
    if url and not known:
        raise ImproperlyConfigured("SICKBAY_SMTP_URL: write smtp://, smtp+starttls:// or smtps://host:port")
    return {
        "EMAIL_HOST": parts.hostname or "",
        "EMAIL_PORT": port or PORTS.get(parts.scheme, 25),
        "EMAIL_TIMEOUT": 10,
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_TLS": parts.scheme == "smtp+starttls",
        "EMAIL_USE_SSL": parts.scheme == "smtps",
    }


def networks(listed: str) -> list[str]:
    """The networks, each in its canonical spelling."""
    try:
        return [
            str(ipaddress.ip_network(one.strip(), strict=False)) for one in listed.split(",") if one.strip()
        ]
    except ValueError as error:
        raise ImproperlyConfigured(
            f"SICKBAY_ALERT_ALLOW_CIDRS: {error}; write networks like 10.1.0.0/16, by comma"
        ) from error
