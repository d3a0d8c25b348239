"""A program under the leash: its output passes through untouched, and the end of it is remembered.

Where standard output is a terminal the program has one, too, of the same size; else it has a pipe. What it
writes is passed on byte by byte as it comes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from sickbay._shell.starting import CannotStart

LEASH = str(Path(__file__).with_name("leash.py"))
TAIL, BLOCK = 16 * 1024, 64 * 1024
JOINED = 2.0


class Child:
    """One life of the program. `asked_to_end`: someone wants it to end, so its end is no crash."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], *, stop: int, grace: float) -> None:
        self.asked_to_end = False
        self.began = time.monotonic()
        self._stop, self._grace = stop, grace
        self._ended = threading.Event()
        self._started = threading.Event()
        self._status: int | None = None
        self._error: int | None = None
        self._pid: int | None = None
        lifeline, self._lifeline = os.pipe()
        self._told, status = os.pipe()
        self._streams = [Stream(1), Stream(2)]
        words = [str(lifeline), str(status), str(grace), str(int(stop)), *command]
        try:
            self._leash = subprocess.Popen(
                [sys.executable, "-I", "-S", LEASH, *words],
                env=dict(env),
                stdout=self._streams[0].inner,
                stderr=self._streams[1].inner,
                pass_fds=(lifeline, status),
                start_new_session=True,
            )
        finally:
            for end in (lifeline, status, *(stream.inner for stream in self._streams)):
                os.close(end)
        for stream in self._streams:
            stream.start()
        threading.Thread(target=self._listen, name="sickbay-watch", daemon=True).start()

    def started(self) -> None:
        """Returns when the program runs; raises CannotStart when it cannot."""
        self._started.wait(30.0)
        if self._error is not None:
            self._ended.wait(30.0)
            raise CannotStart(self._error)

    def wait(self, seconds: float) -> bool:
        """Whether it has ended, and all that it started."""
        return self._ended.wait(seconds)

    @property
    def code(self) -> int:
        """Its exit code; of a signal, the number below zero."""
        return -signal.SIGKILL if self._status is None else os.waitstatus_to_exitcode(self._status)

    @property
    def last_output(self) -> float:
        """When it last wrote something, or began."""
        return max(self.began, *(stream.at for stream in self._streams))

    def last_words(self) -> str:
        """The end of its standard error; when there is none, of its output."""
        out, err = (bytes(stream.tail).decode("utf-8", "replace") for stream in self._streams)
        return err if err.strip() else out

    def send(self, number: int) -> None:
        """Pass a signal on to the program and all that it started."""
        with contextlib.suppress(OSError):
            self._leash.send_signal(number)

    def stop(self) -> None:
        """Ask it to end, and after the grace make it; returns when nothing is left of it."""
        if not self.asked_to_end:
            self.asked_to_end = True
            self.send(self._stop)
        if not self.wait(self._grace):
            self.kill()
            self.wait(self._grace + 5.0)

    def kill(self) -> None:
        self.asked_to_end = True
        with contextlib.suppress(OSError):
            os.write(self._lifeline, b"k")

    def resized(self) -> None:
        """The terminal has another size now."""
        for stream in self._streams:
            stream.resize()
        self.send(signal.SIGWINCH)

    def close(self) -> None:
        """Nothing of it is left running, and nothing that it wrote is left unread."""
        if not self._ended.is_set():
            self.kill()
        lifeline, self._lifeline = self._lifeline, -1  # its number may be another file's from here on
        if lifeline >= 0:
            os.close(lifeline)
        self._ended.wait(self._grace + 10.0)
        for stream in self._streams:
            stream.join(JOINED)

    def _listen(self) -> None:
        """What the leash tells, until it ends."""
        with os.fdopen(self._told, "rb") as told:
            for line in told:
                word, _, number = line.decode("ascii", "replace").strip().partition(" ")
                if word == "error":
                    self._error = int(number)
                elif word == "pid":
                    self._pid = int(number)
                elif word == "end":
                    self._status = int(number)
                self._started.set()
        if self._status is None and self._pid is not None:  # the leash itself was killed
            with contextlib.suppress(OSError):
                os.killpg(self._pid, signal.SIGKILL)
        self._leash.wait()
        self._started.set()
        self._ended.set()


class Stream:
    """One of the program's outputs, on its way to ours."""

    def __init__(self, outer: int) -> None:
        self.at = 0.0
        self.tail = bytearray()
        self._outer = outer
        self._is_terminal = os.isatty(outer)
        if self._is_terminal:
            self._ours, self.inner = os.openpty()
            _untouched(self.inner)
            self.resize()
        else:
            self._ours, self.inner = os.pipe()
        self._thread = threading.Thread(target=self._pass_on, name=f"sickbay-output-{outer}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def resize(self) -> None:
        if self._is_terminal:
            with contextlib.suppress(OSError):
                size = fcntl.ioctl(self._outer, termios.TIOCGWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
                fcntl.ioctl(self._ours, termios.TIOCSWINSZ, size)

    def _pass_on(self) -> None:
        """Until its end; where nobody reads any more, it is read all the same, so that it never blocks."""
        is_read = True
        while True:
            try:
                data = os.read(self._ours, BLOCK)
            except OSError:  # the other end of a terminal is closed
                data = b""
            if not data:
                os.close(self._ours)
                return
            self.at = time.monotonic()
            self.tail += data
            del self.tail[:-TAIL]
            is_read = is_read and self._write(data)

    def _write(self, data: bytes) -> bool:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._outer, view) :]
        except OSError:
            return False
        return True


def _untouched(terminal: int) -> None:
    """Bytes pass as they are: the outer terminal does what is to be done to them, once."""
    said = termios.tcgetattr(terminal)
    said[1] &= ~termios.OPOST
    said[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(terminal, termios.TCSANOW, said)
