"""`sickbay …` as a process of its own: into pipes, or on a terminal that the test reads and types into."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

SICKBAY = [sys.executable, "-m", "sickbay"]


@dataclass
class Shell:
    """Where commands are typed: an environment with a server and a token."""

    env: dict[str, str] = field(default_factory=dict)

    def run(self, *words: str, said: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        """To the end, with pipes around it."""
        return subprocess.run(
            [*SICKBAY, *words], env=self._env(env), input=said, capture_output=True, text=True, timeout=120
        )

    def out(self, *words: str, **env: str) -> str:
        """What it wrote; it must have gone well, and without a word of complaint."""
        done = self.run(*words, **env)
        assert done.returncode == 0 and not done.stderr, (words, done)
        return done.stdout

    def raw(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([*SICKBAY, *words], env=self._env({}), capture_output=True, timeout=120)

    @contextlib.contextmanager
    def terminal(self, *words: str, **env: str) -> Iterator[Terminal]:
        """On a terminal of its own."""
        outer, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
        process = subprocess.Popen(
            [*SICKBAY, *words],
            env=self._env({"TERM": "xterm", "LINES": "24", **env}),
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            preexec_fn=_takes_the_terminal,
        )
        os.close(inner)
        try:
            yield Terminal(outer, process)
        finally:
            process.kill()
            process.wait()
            os.close(outer)

    def _env(self, more: Mapping[str, str]) -> dict[str, str]:
        return {**os.environ, "TZ": "UTC", "PYTHONUNBUFFERED": "", **self.env, **more}


def _takes_the_terminal() -> None:
    """Ctrl-C on it is an interrupt then."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@dataclass
class Terminal:
    """A person's end of it."""

    end: int
    process: subprocess.Popen[bytes]
    seen: str = ""

    def type(self, text: str) -> None:
        os.write(self.end, text.encode())

    def reads(self, words: str, timeout: float = 60.0) -> str:
        """What was shown up to and with these words."""
        deadline = time.monotonic() + timeout
        while words not in self.seen:
            assert time.monotonic() < deadline and self._read(deadline), f"no {words!r} in {self.seen!r}"
        return self.seen

    def ends(self, timeout: float = 60.0) -> tuple[int, str]:
        """The exit code, and everything that was shown."""
        deadline = time.monotonic() + timeout
        while self._read(deadline):
            assert time.monotonic() < deadline, self.seen
        return self.process.wait(10), self.seen

    def _read(self, deadline: float) -> bool:
        """Whether there is more to come."""
        ready, _, _ = select.select([self.end], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return True
        try:
            data = os.read(self.end, 65_536)
        except OSError:  # Linux says so when nobody has the other end any more
            return False
        self.seen += data.decode("utf-8", "replace")
        return bool(data)
