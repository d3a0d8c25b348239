"""One child process: how it is started on its leash, asked to stop, and made to.

Each child leads a session of its own, so that Ctrl-C in the terminal reaches the supervisor alone (which
stops the children in order) and whatever a child started itself ends with it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dashboard.embedded.processes import kill_family, wait_until_gone

LEASH = str(Path(__file__).with_name("leash.py"))
LOG_LIMIT = 20 * 1024 * 1024
HURRY = 0.4


class ServerFailed(Exception):
    """The {name} did not start; the end of its log says why."""


@dataclass
class Child:
    """`stop_signal` asks it to end in order, `hurry_signal` without order but with its own children;
    `orphan_signal` reaches it when the supervisor is gone.
    """

    name: str
    command: list[str]
    log: Path
    user: str = "-"
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    hurry_signal: signal.Signals | None = None
    orphan_signal: signal.Signals = signal.SIGKILL
    before: Callable[[], None] = lambda: None
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.before()
        self.log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        leash = [sys.executable, "-I", "-S", LEASH, str(os.getpid()), self.user, str(int(self.orphan_signal))]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*leash, *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.env},
                cwd=self.cwd,
                start_new_session=True,
            )

    def trim_log(self) -> None:
        """Keeps one older piece. The child appends, so a file emptied under it goes on at its start."""
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT:
            shutil.copyfile(self.log, self.log.with_suffix(".log.1"))
            os.truncate(self.log, 0)

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def ask_to_stop(self) -> None:
        if self.process is not None and self.is_running():
            self.process.send_signal(self.stop_signal)

    def stop(self, timeout: float) -> None:
        """Ordered within `timeout` seconds, then by force, with everything it started."""
        if self.process is None:
            return
        self.ask_to_stop()
        if not self.ended_within(timeout) and self.hurry_signal is not None:
            self.process.send_signal(self.hurry_signal)
            self.ended_within(HURRY)
        if self.is_running():
            family = kill_family(self.process.pid)
            self.process.wait()
            wait_until_gone(family, HURRY)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def ended_within(self, timeout: float) -> bool:
        assert self.process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout)
        return self.process.returncode is not None

    def last_words(self, lines: int = 8) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])
