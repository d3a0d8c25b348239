"""The step of `sickbay watch`: one life of the program, which is one action of the agent.

    started     the program runs below the leash; SICKBAY_GUIDANCE says what a human said
    living      five times a second: what was asked for, the checkpoint that is due, silence
    ended       0: done · asked for by a pause, a rollback, a signal: no failure · else a crash, which counts

While it lives the action is in flight, so nothing is restored under it: a rollback and a pause wait until it
is down, and it is stopped for them. `supervise` does the rest.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import signal
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

from sickbay._errors import ActionFailed
from sickbay._run import Run
from sickbay._shell.child import Child
from sickbay._shell.starting import CannotStart
from sickbay._shell.terminal import safe

BEAT = 0.2
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
NOT_LOOKED_INTO = frozenset({".sickbay", ".git", "__pycache__", "node_modules", ".venv"})
MOST_FILES = 200_000
LAST_LINES, LONGEST_LINE = 20, 300


class Crashed(Exception):
    """The program ended with another exit code than 0, or by a signal."""

    sickbay_failure: ClassVar[str] = "crash"


class Silent(Exception):
    """The program wrote nothing, and changed no file, for too long."""

    sickbay_failure: ClassVar[str] = "silence"


class EndedOnRequest(Exception):
    """The program was stopped for a pause, a rollback or a signal; that is no failure."""


class Watching:
    """What one `sickbay watch` does; its `step` is for `agent.supervise`."""

    def __init__(self, given: argparse.Namespace) -> None:
        self._given, self._command = given, list(given.after)
        self._name = Path(self._command[0]).name[:200] or "program"
        self._words = shlex.join(_shown(self._command[1:])) or None
        self._files = Files(given.workspace)
        self._child: Child | None = None
        self._interrupts = 0
        self._how_ended = "silence"

    def step(self, run: Run) -> None:
        """One life of the program."""
        try:
            with run.action(self._name, input=self._words) as act:
                self._child = child = self._started(run)
                self._live(run, child)
                child.close()
                act.result = self._told(child)
                self._judge(child)
        except EndedOnRequest:
            if self._interrupts:
                raise KeyboardInterrupt from None
            return
        except ActionFailed as failed:
            self._say(f"{self._name}: {failed.__cause__ or failed}".splitlines()[0])
            self._kept(run, f"after {self._how_ended}")
            raise
        finally:
            self._over()
        if not self._given.forever:
            sys.exit(0)
        self._kept(run, "after exit code 0")
        time.sleep(1.0)  # a program that ends at once must not fill the timeline

    def _over(self) -> None:
        """Whatever came in between, nothing of the program is left."""
        child, self._child = self._child, None
        if child is not None:
            child.close()

    # — a life —

    def _started(self, run: Run) -> Child:
        env = {**os.environ, "SICKBAY_AGENT": self._given.name}
        env.pop("SICKBAY_GUIDANCE", None)
        if run.guidance:
            env["SICKBAY_GUIDANCE"] = run.guidance.replace("\0", "")
        if run.rolled_back:
            env["SICKBAY_ROLLED_BACK_TO"] = run.rolled_back.to
        child = Child(self._command, env, stop=self._given.stop_signal, grace=self._given.stop_timeout)
        try:
            child.started()
        except CannotStart:
            child.close()
            raise
        return child

    def _live(self, run: Run, child: Child) -> None:
        """Until it has ended, by itself or because it was asked to."""
        due = time.monotonic() + self._given.checkpoint_every
        silence = Silence(self._given.silent_after, self._files)
        is_healthy = False
        while not child.wait(BEAT):
            now = time.monotonic()
            if self._must_end(run):
                child.stop()
                raise EndedOnRequest(run.wanted or "signal")
            if self._given.workspace and now >= due:
                due = now + self._given.checkpoint_every
                self._kept(run, None)
            if silence.has_come(child, now):
                self._tell_silence(run, child)
            if not is_healthy and now - child.began >= self._given.healthy_after:
                is_healthy = True
                with run.action(self._name, input="still runs"):
                    pass  # a success of that name ends a row of failures of that name

    def _must_end(self, run: Run) -> bool:
        wanted = run.wanted
        if wanted == "pause" and self._given.on_pause == "finish":
            return False
        return wanted is not None or self._interrupts > 0

    def _tell_silence(self, run: Run, child: Child) -> None:
        """It counts, and the program goes on, unless it is to be started again."""
        silent = Silent(f"no output and no file changed for {self._given.silent_after:g} s")
        if self._given.restart_when_silent:
            child.stop()
            self._how_ended = "silence"
            raise silent
        with contextlib.suppress(ActionFailed), run.action(self._name):
            raise silent

    def _told(self, child: Child) -> dict[str, Any]:
        """What is recorded of its end."""
        self._how_ended = self._said_ending(child)
        told = {"ended": self._how_ended, "ran_for_s": round(time.monotonic() - child.began, 1)}
        return told if child.code == 0 else {**told, "last_lines": _last_lines(child.last_words())}

    def _judge(self, child: Child) -> None:
        """Raises Crashed, or EndedOnRequest."""
        if child.asked_to_end:
            raise EndedOnRequest("signal")
        if child.code != 0:
            words = _last_lines(child.last_words())
            raise Crashed(": ".join([self._how_ended, *words[-1:]]))

    @staticmethod
    def _said_ending(child: Child) -> str:
        if child.code >= 0:
            return f"exit code {child.code}"
        with contextlib.suppress(ValueError):
            return signal.Signals(-child.code).name
        return f"signal {-child.code}"

    def _kept(self, run: Run, label: str | None) -> None:
        """A checkpoint, if the files are others than at the last one."""
        if self._given.workspace and self._files.changed():
            run.checkpoint(label)

    def _say(self, words: str) -> None:
        if not self._given.quiet:
            print(f"sickbay: {safe(words, 500)}", file=sys.stderr)

    # — signals —

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """What is sent to us is passed on; with no program to pass it to, it is ours."""
        before = {number: signal.signal(number, self._passed_on) for number in PASSED_ON}
        before[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, self._resized)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _passed_on(self, number: int, frame: FrameType | None) -> None:
        child = self._child
        if number in (signal.SIGHUP, signal.SIGQUIT):
            os.kill(os.getpid(), signal.SIGTERM)  # which supervise knows
            return
        if child is None:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            return
        if number == signal.SIGINT:
            self._interrupts += 1
            if self._interrupts > 1:
                child.kill()
        if number in ENDING:
            child.asked_to_end = True
        child.send(number)

    def _resized(self, number: int, frame: FrameType | None) -> None:
        if self._child is not None:
            self._child.resized()


class Silence:
    """Whether nothing was heard of a program for so long. It comes again after the same time."""

    def __init__(self, after: float | None, files: Files) -> None:
        self._after, self._files = after, files
        self._seen = files.mark()
        self._since = time.monotonic()
        self._next = 0.0

    def has_come(self, child: Child, now: float) -> bool:
        if self._after is None or now - max(self._since, child.last_output) < self._after or now < self._next:
            return False
        self._next = now + min(self._after / 4, 30.0)
        mark = self._files.mark()
        if mark != self._seen:  # a file changed since the last look, nobody knows when
            self._seen, self._since = mark, now
            return False
        self._since = now
        return True


class Files:
    """Whether anything in a directory changed, from names, sizes and times; no file is opened."""

    def __init__(self, directory: str | None) -> None:
        self._directory = directory
        self._last = self.mark()

    def changed(self) -> bool:
        """Since this was last asked."""
        before, self._last = self._last, self.mark()
        return before != self._last

    def mark(self) -> int:
        """A number that is another when something changed."""
        mark, ahead, left = 0, [self._directory] if self._directory else [], MOST_FILES
        while ahead and left > 0:
            try:
                with os.scandir(ahead.pop()) as entries:
                    found = sorted(entries, key=lambda entry: entry.name)
            except OSError:
                continue
            for entry in found:
                left -= 1
                with contextlib.suppress(OSError):
                    stat = entry.stat(follow_symlinks=False)
                    if not entry.is_dir(follow_symlinks=False):
                        said = (entry.path, stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_mode)
                        mark = zlib.crc32(repr(said).encode(), mark)
                    elif entry.name not in NOT_LOOKED_INTO:
                        mark = zlib.crc32(os.fsencode(entry.path), mark)
                        ahead.append(entry.path)
        return mark


def _shown(words: list[str]) -> list[str]:
    """The arguments without what stands behind an option that is a secret's; the rest is masked like all."""
    from sickbay._patterns import MASK, is_telling

    pairs = zip(["", *words], words, strict=False)
    return [MASK if before[:1] == "-" and is_telling(before.lstrip("-")) else word for before, word in pairs]


def _last_lines(text: str) -> list[str]:
    lines = [safe(line.rstrip(), LONGEST_LINE) for line in text.splitlines() if line.strip()]
    return lines[-LAST_LINES:]
