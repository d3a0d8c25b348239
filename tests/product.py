"""The real product for tests: `running_product()` is `manage.py up`, `running_daphne()` only its web server.

Both hang on the test process by a leash, so a killed test leaves nothing behind. A product has servers and
data of its own. Daphne alone serves the test database, so its test needs real commits:
`@pytest.mark.django_db(transaction=True)`; several can run side by side.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
from django.conf import settings
from django.db import connection

from dashboard.embedded.children import Child
from dashboard.embedded.valkey import free_port
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[1]
MANAGE = [sys.executable, str(ROOT / "manage.py")]
OWN_SERVERS = {"SICKBAY_DATABASE_URL": "", "SICKBAY_REDIS_URL": "", "SICKBAY_SITE_URL": ""}
MARKS = {
    "web": "manage.py serve",
    "worker": "celery -A dashboard worker",
    "beat": "manage.py beat",
    "postgres": "bin/postgres -D",
    "valkey": "valkey-server",
}


@dataclass
class Served:
    """Something that answers on a port of this machine."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, timeout: float = 5.0) -> tuple[int, bytes]:
        """Status and body; status 0 when nobody answers."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(self.url + path, timeout=timeout) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, b""

    def answers(self, path: str = "/readyz") -> bool:
        return self.get(path)[0] == 200


@dataclass
class Product(Served):
    data: Path = Path()
    arguments: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    up: Child | None = None

    def start(self, timeout: float = 180.0) -> None:
        self.stop()
        output = self.data.with_suffix(".out")
        output.unlink(missing_ok=True)
        options = ["up", "--port", str(self.port), "--data", str(self.data), *self.arguments]
        self.up = Child(
            "up",
            [*MANAGE, *options],
            log=output,
            env={**OWN_SERVERS, **self.env},
            orphan_signal=signal.SIGTERM,
        )
        self.up.start()
        until(lambda: "Ctrl-C stops" in self.said() or not self.is_running(), timeout, "the product")
        assert self.is_running(), self.said()

    def said(self) -> str:
        return self.data.with_suffix(".out").read_text()

    def is_running(self) -> bool:
        return self.up is not None and self.up.is_running()

    def sign_in_link(self) -> str:
        found = re.search(r"http\S+/welcome/\S+", self.said())
        assert found, self.said()
        return found[0]

    def ready_after(self) -> float:
        found = re.search(r"ready after ([\d.]+) s", self.said())
        assert found, self.said()
        return float(found[1])

    @property
    def pid(self) -> int:
        assert self.up is not None and self.up.pid is not None
        return self.up.pid

    def processes(self) -> list[psutil.Process]:
        """The supervisor and everything below it."""
        supervisor = psutil.Process(self.pid)
        return [supervisor, *supervisor.children(recursive=True)]

    def child(self, name: str) -> int | None:
        """The pid of `web`, `worker`, `beat`, `postgres` or `valkey`, once it runs the program itself."""
        for process in psutil.Process(self.pid).children():
            with contextlib.suppress(psutil.Error):
                command = " ".join(process.cmdline())
                if MARKS[name] in command and "leash.py" not in command:
                    return process.pid
        return None

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Sends a signal to one child; answers the pid it had."""
        pid = until(lambda: self.child(name), what=name)
        assert pid is not None
        os.kill(pid, number)
        return pid

    def manage(self, *arguments: str) -> str:
        """The output of a manage.py command on this product's servers."""
        command = [*MANAGE, *arguments, "--data", str(self.data)]
        env = {**os.environ, **OWN_SERVERS, "SICKBAY_SITE_URL": self.url, **self.env}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def token(self, scope: str = "agent") -> str:
        return self.manage("token", "--scope", scope)

    def database_url(self) -> str:
        url: str = json.loads((self.data / "servers.json").read_text())["database_url"]
        return url

    def stop(self, timeout: float = 10.0) -> None:
        if self.up is not None:
            self.up.stop(timeout)

    def restart(self) -> None:
        self.stop()
        self.start()


@contextlib.contextmanager
def running_product(
    *arguments: str, env: dict[str, str] | None = None, below: Path | None = None
) -> Iterator[Product]:
    """`manage.py up` with data, below this directory, and a port of its own, ready."""
    parent = Path(tempfile.mkdtemp(prefix="sickbay-product-", dir=below))
    if below is not None:
        parent.chmod(0o755)
    product = Product(free_port(), parent / "data", arguments, env or {})
    try:
        product.start()
        yield product
    finally:
        product.stop()
        shutil.rmtree(parent, ignore_errors=True)


@dataclass
class Daphne(Served):
    process: Child | None = None
    log: Path = Path()

    def kill(self) -> None:
        assert self.process is not None and self.process.process is not None
        self.process.process.kill()
        self.process.process.wait()

    def start(self) -> None:
        assert self.process is not None
        self.process.start()
        until(lambda: self.answers("/healthz") or not self.process.is_running(), 60, "daphne")  # type: ignore[union-attr]
        assert self.process.is_running(), self.process.last_words(30)


@contextlib.contextmanager
def running_daphne(*options: str, env: dict[str, str] | None = None) -> Iterator[Daphne]:
    """`manage.py serve` on the test database and the session's Valkey."""
    port = free_port()
    log = Path(tempfile.mkdtemp(prefix="sickbay-daphne-")) / "web.log"
    servers = {"SICKBAY_DATABASE_URL": database_url(), "SICKBAY_REDIS_URL": settings.REDIS_URL}
    command = [*MANAGE, "serve", "--port", str(port), *options]
    daphne = Daphne(port, Child("web", command, log=log, env={**servers, **(env or {})}), log)
    try:
        daphne.start()
        yield daphne
    finally:
        assert daphne.process is not None
        daphne.process.stop(3)
        shutil.rmtree(log.parent, ignore_errors=True)


def database_url(name: str | None = None) -> str:
    """The test database, or its neighbour `name`, as another process must name it."""
    its: dict[str, Any] = connection.settings_dict
    host, port = its["HOST"], its["PORT"]
    at = "" if host.startswith("/") else f"{host}:{port}" if port else host
    query = f"?host={quote(host)}" if host.startswith("/") else ""
    return (
        f"postgresql://{quote(its['USER'])}:{quote(its['PASSWORD'])}@{at}/{quote(name or its['NAME'])}{query}"
    )
