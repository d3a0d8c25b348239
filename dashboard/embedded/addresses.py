"""Where the database and the broker are: the environment says, else the embedded servers' own note."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit


@dataclass(frozen=True)
class Servers:
    database: dict[str, Any]
    redis_url: str


def addresses(environ: Mapping[str, str], data_dir: Path) -> Servers:
    """The two servers' addresses; embedded ones that never ran get a placeholder that refuses to connect."""
    note = data_dir / "servers.json"
    noted = json.loads(note.read_text()) if note.exists() else {}
    database = (
        environ.get("SICKBAY_DATABASE_URL") or noted.get("database_url") or "postgresql://127.0.0.1:1/none"
    )
    broker = environ.get("SICKBAY_REDIS_URL") or noted.get("redis_url") or "redis://127.0.0.1:1/0"
    return Servers(database=parse_database_url(database), redis_url=broker)


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
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(fd, "w") as file:
        file.write(secrets.token_urlsafe(48))
    return path.read_text().strip()
