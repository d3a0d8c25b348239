"""The OpenID provider that people may sign in by, from the environment (the README has the table).

`SICKBAY_OIDC_URL` is the issuer, as the provider names it. Its answers are trusted with who somebody is, so
they come over https; http is for a provider on this very machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

PROVIDER = "sso"  # stands in the callback's address, which is registered with the provider
WELL_KNOWN = "/.well-known/openid-configuration"
HERE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Identity:
    """`name` stands on the button; `domains`: whose addresses need no invitation."""

    providers: dict[str, Any]
    name: str
    domains: list[str]


def identity_settings(environ: Mapping[str, str]) -> Identity:
    """Without an issuer there is no provider, and no button."""
    issuer = environ.get("SICKBAY_OIDC_URL", "").strip().removesuffix(WELL_KNOWN)
    name = environ.get("SICKBAY_OIDC_NAME", "").strip() or "single sign-on"
    domains = [one.strip().lower().lstrip("@") for one in environ.get("SICKBAY_OIDC_DOMAINS", "").split(",")]
    apps = [_app(issuer, name, environ)] if issuer else []
    return Identity(
        {"openid_connect": {"APPS": apps}},
        name if issuer else "",
        [one for one in domains if one] if issuer else [],
    )


def _app(issuer: str, name: str, environ: Mapping[str, str]) -> dict[str, Any]:
    parts = urlsplit(issuer)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in HERE):
        raise ImproperlyConfigured(
            "SICKBAY_OIDC_URL: write the issuer's address, like https://id.example.com"
        )
    client = environ.get("SICKBAY_OIDC_CLIENT_ID", "").strip()
    if not client:
        raise ImproperlyConfigured("SICKBAY_OIDC_CLIENT_ID: copy the client's id from the OpenID provider")
    return {
        "provider_id": PROVIDER,
        "name": name,
        "client_id": client,
        "secret": environ.get("SICKBAY_OIDC_SECRET", "").strip(),
        "settings": {"server_url": issuer},
    }
