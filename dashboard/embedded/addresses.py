"""Where the database and the broker are: the environment says, else the embedded servers' own note."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

NO_PLACE = "Nothing can be kept in {data} ({why}): name a directory that you may write with --data DIR."


@dataclass(frozen=True)
class Servers:
    database: dict[str, Any]
    redis_url: str
    site_url: str


def addresses(environ: Mapping[str, str], data_dir: Path) -> Servers:
    """The servers' addresses and our own; embedded ones that never ran get one that refuses to connect."""
    note = data_dir / "servers.json"
    noted = json.loads(note.read_text()) if note.exists() else {}
    database = (
        environ.get("SICKBAY_DATABASE_URL") or noted.get("database_url") or "postgresql://127.0.0.1:1/none"
    )
    broker = environ.get("SICKBAY_REDIS_URL") or noted.get("redis_url") or "redis://127.0.0.1:1/0"
    site = environ.get("SICKBAY_SITE_URL") or noted.get("site_url") or "http://127.0.0.1:8000"
    return Servers(parse_database_url(database), redis_url=broker, site_url=site.rstrip("/"))


def parse_database_url(url: str) -> dict[str, Any]:
    """Django's settings for a `postgresql://user:password@host:port/name?host=/socket/dir` address."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    return {
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": query.get("host") or parts.hostname or "",
        "PORT": str(parts.port or ""),
    }


def secret_key(environ: Mapping[str, str], data_dir: Path) -> str:
    """`SICKBAY_SECRET_KEY`, else one made once and kept beside the data, for its owner only."""
    if given := environ.get("SICKBAY_SECRET_KEY"):
        return given
    path = data_dir / "secret.key"
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileExistsError), open(path, "x", opener=_for_its_owner) as file:
            file.write(secrets.token_urlsafe(48))
        return path.read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(NO_PLACE.format(data=data_dir, why=error.strerror)) from error


def _for_its_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
