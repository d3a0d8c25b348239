"""`manage.py up`: everything on one machine, from nothing but Python.

The order: take the data directory (one `up` each, held by a lock) and look at the port; start Postgres and
Valkey, unless the environment names others; write `servers.json`, by which every other command finds them;
prepare the database (`manage.py prepare`: migrations, the project `main`, a link for the first
administrator); start Daphne, the worker and beat; say where to look; then keep them alive until asked to
stop. Children's output goes to `<data>/log/`, this terminal gets what a person must know.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from django.core.exceptions import ImproperlyConfigured

from dashboard.embedded.addresses import NO_PLACE
from dashboard.embedded.children import Child, ServerFailed
from dashboard.embedded.demo import demo_children
from dashboard.embedded.postgres import Postgres
from dashboard.embedded.supervisor import AskedToStop, Supervisor, on_stop, say
from dashboard.embedded.unprivileged import private_file
from dashboard.embedded.valkey import Valkey, choose_url
from dashboard.mail import mail_settings, networks

ROOT = Path(__file__).resolve().parents[2]
SERVERS, PRODUCT, AGENTS = range(3)
READY_WITHIN = 120.0


class CannotStart(Exception):
    """The message says what to do."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=port_number, default=8000, help="where the web server listens (8000)")
    parser.add_argument("--host", default="127.0.0.1", help="the address it listens on (127.0.0.1)")
    parser.add_argument("--demo", action="store_true", help="run the example agents too")
    parser.add_argument(
        "--data", metavar="DIR", help="where everything is kept (SICKBAY_DATA, else .sickbay)"
    )


def port_number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 5 or int(text) > 65_535:
        raise argparse.ArgumentTypeError("give a number up to 65535")
    return int(text)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="manage.py up", description="Start everything on this machine; Ctrl-C stops it."
    )
    add_options(parser)
    return start(parser.parse_args(arguments))


def start(options: argparse.Namespace) -> int:
    data = Path(os.environ.get("SICKBAY_DATA") or ROOT / ".sickbay").resolve()
    supervisor = Supervisor()
    on_stop(supervisor)
    end_with_uv()
    try:
        with only_one(data, options):
            try:
                bring_up(supervisor, data, options)
                supervisor.watch()
            finally:
                supervisor.stop()
    except (CannotStart, ServerFailed, ImproperlyConfigured) as error:
        say(str(error))
        return 1
    except AskedToStop:
        pass
    return 0


def bring_up(supervisor: Supervisor, data: Path, options: argparse.Namespace) -> None:
    began = time.monotonic()
    site = site_of(options)
    mail_settings(os.environ.get("SICKBAY_SMTP_URL", ""))
    networks(os.environ.get("SICKBAY_ALERT_ALLOW_CIDRS", ""))
    refuse_taken_port(options.host, options.port)
    python_environment(data)
    os.environ["SICKBAY_DATA"] = str(data)
    os.environ["SICKBAY_SITE_URL"] = os.environ.get("SICKBAY_SITE_URL") or site
    start_servers(supervisor, data)
    prepared = prepare(data, options.demo)
    children = product_children(data, options)
    for child in children:
        supervisor.start(child, PRODUCT)
    wait_until_ready(children[0], probe_of(options))
    say(f"Sickbay is at {site} (ready after {time.monotonic() - began:.1f} s)")
    if prepared["link"]:
        say(f"Become its first administrator, once, within a day: {prepared['link']}")
    if names := answers_to(options):
        say(names)
    say(f"Logs are in {data / 'log'}. Ctrl-C stops everything.")
    if options.demo:
        for child in demo_children(ROOT, data, site, prepared["token"]):
            supervisor.start(child, AGENTS)


def start_servers(supervisor: Supervisor, data: Path) -> None:
    """The embedded ones where the environment names none; then the note for all other commands."""
    database_url = os.environ.get("SICKBAY_DATABASE_URL", "")
    redis_url = os.environ.get("SICKBAY_REDIS_URL", "")
    note = data / "servers.json"
    former = json.loads(note.read_text()) if note.exists() else {}
    if not redis_url:
        valkey = Valkey(data, data / "log" / "valkey.log", choose_url(former.get("embedded_redis_url")))
        valkey.prepare()
        broker = supervisor.start(valkey.child(), SERVERS)
    if not database_url:
        postgres = Postgres(data, data / "log" / "postgres.log")
        postgres.prepare()
        database = supervisor.start(postgres.child(), SERVERS)
        postgres.wait_until_ready(database)
        postgres.ensure_database()
        database_url = postgres.url
    embedded = former.get("embedded_redis_url")
    if not redis_url:
        valkey.wait_until_ready(broker)
        redis_url = embedded = valkey.url
    noted = {
        "database_url": database_url,
        "redis_url": redis_url,
        "embedded_redis_url": embedded,
        "site_url": os.environ["SICKBAY_SITE_URL"],
    }
    private_file(note, json.dumps(noted, indent=1))


def prepare(data: Path, demo: bool) -> dict[str, str]:
    """`manage.py prepare --json` answers with a line: the sign-in link, the demo's token."""
    command = [*manage("prepare", "--json"), *(["--demo"] if demo else [])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, start_new_session=True)
    if done.returncode:
        raise ServerFailed(f"The database could not be prepared:\n{done.stderr.strip()[-2000:]}")
    prepared: dict[str, str] = json.loads(done.stdout.strip().splitlines()[-1])
    return prepared


def product_children(data: Path, options: argparse.Namespace) -> list[Child]:
    log = data / "log"
    serve = manage("serve", "--port", str(options.port), "--host", options.host)
    worker = [sys.executable, "-m", "celery", "-A", "dashboard", "worker", "--without-gossip",
              "--without-mingle", "--loglevel", "WARNING"]  # fmt: skip
    return [
        Child("web", serve, log=log / "web.log", cwd=ROOT),
        Child("worker", worker, log=log / "worker.log", cwd=ROOT),
        Child("beat", manage("beat"), log=log / "beat.log", cwd=ROOT),
    ]


def manage(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "manage.py"), *arguments]


@contextlib.contextmanager
def only_one(data: Path, options: argparse.Namespace) -> Iterator[None]:
    """Holds the data directory. The lock ends with the process, however that ends."""
    with open_lock(data) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "another process"
            raise CannotStart(
                f"Sickbay is already running on {data}: {holder}. Use that, or give another --data."
            ) from None
        lock.truncate(0)
        lock.write(f"pid {os.getpid()}, {site_of(options)}")
        lock.flush()
        yield


def open_lock(data: Path) -> TextIO:
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (data / "up.lock").open("a+")
        os.chmod(lock.fileno(), 0o600)
    except OSError as error:
        raise CannotStart(NO_PLACE.format(data=data, why=error.strerror)) from error
    return lock


def refuse_taken_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise CannotStart(
                    f"Port {port} on {host} is taken by another program: give --port another number."
                ) from None
            raise CannotStart(f"Cannot listen on {host} port {port}: {error.strerror}.") from None


def site_of(options: argparse.Namespace) -> str:
    host = options.host if options.host not in ("0.0.0.0", "::") else "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{options.port}"


def answers_to(options: argparse.Namespace) -> str:
    """Which host names work, where more than this machine can reach it."""
    if options.host in ("127.0.0.1", "::1", "localhost"):
        return ""
    named = os.environ.get("SICKBAY_HOSTS")
    if named:
        return f"It answers to these host names alone (SICKBAY_HOSTS): {named}"
    usual = "localhost,127.0.0.1,[::1]"
    return (
        f"From other machines it answers to no name yet: set SICKBAY_HOSTS to all of its names, like "
        f"SICKBAY_HOSTS={socket.gethostname()},{usual}, and SICKBAY_SITE_URL to the address in alerts."
    )


def probe_of(options: argparse.Namespace) -> str:
    return f"{site_of(options)}/readyz"


def wait_until_ready(web: Child, url: str) -> None:
    """Until the web server says so; the worker and beat may still be starting."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + READY_WITHIN
    while True:
        with contextlib.suppress(OSError, urllib.error.URLError), opener.open(url, timeout=5) as answer:
            if answer.status == 200:
                return
        if time.monotonic() > deadline or not web.is_running():
            raise ServerFailed(f"The web server did not get ready; {web.log} says:\n{web.last_words(20)}")
        time.sleep(0.05)


def python_environment(data: Path) -> None:
    """A child that is started again must be back at once: keep its compiled modules, if only in our data."""
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
        os.environ.setdefault("PYTHONPYCACHEPREFIX", str(data / "pycache"))


def end_with_uv() -> None:
    """`uv run` stands between the terminal and us; when it is killed, the kernel asks us to stop."""
    with contextlib.suppress(OSError):
        if Path(f"/proc/{os.getppid()}/comm").read_text().strip() == "uv":
            import ctypes
            import signal

            ctypes.CDLL(None).prctl(1, int(signal.SIGTERM))
