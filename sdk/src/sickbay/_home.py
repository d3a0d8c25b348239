"""A home: the directory of one agent and instance, held by one living process.

    SICKBAY_HOME/<name>/<instance>/
        lock               flock, with the pid of who holds it
        mark               the page that outlives kill -9 (_mark)
        state.json  state.copy.json  reserve    (_state)
        spool/00000001.ndjson …                 (_spool, _segments)
        effects.ndjson                          (_effects)

Whoever opens it second is refused with the pid of the first. The lock goes with its holder; where it was
inherited by a stray child of a dead holder, it is taken over. A run that began here and did not end is
`vanished`, with what it was doing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from sickbay._clock import Clock
from sickbay._effects import Effects
from sickbay._errors import AlreadyRunning, BadArgument
from sickbay._mark import Mark
from sickbay._spool import Spool
from sickbay._state import StateFile

if sys.platform == "win32":
    import msvcrt

    def _try_lock(fd: int) -> None:
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try_lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
INSTANCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
log = logging.getLogger("sickbay")
_open_homes: weakref.WeakSet[Home] = weakref.WeakSet()


@dataclass(frozen=True, slots=True)
class Vanished:
    """An earlier run of this home that did not end, and what it was doing."""

    run: str
    in_flight: str | None


class Home:
    """Everything durable of one agent and instance. Open it with `Home.open`."""

    def __init__(self, name: str, instance: str, directory: Path, lock: int, clock: Clock) -> None:
        self.name, self.instance, self.directory, self.clock = name, instance, directory, clock
        self._lock_fd = lock
        self.pid = os.getpid()
        self.page = Mark(directory / "mark")
        self.state = StateFile(directory, clock)
        self.spool = Spool(directory / "spool", self.page, clock)
        self.effects = Effects(directory / "effects.ndjson", clock)
        self.vanished = self._vanished()
        _open_homes.add(self)

    @classmethod
    def open(cls, name: str, instance: str, base: Path, *, clock: Clock | None = None) -> Home:
        """The home, or AlreadyRunning with the pid of the process that holds it."""
        directory = place(base, name, instance)
        try:
            (directory / "spool").mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = _locked(directory, name)
        except OSError as error:
            raise BadArgument(
                f"{directory} cannot be used ({error.strerror or error}): set SICKBAY_HOME to a directory "
                "that this process may write and that stays over restarts"
            ) from error
        try:
            return cls(name, instance, directory, lock, clock or Clock())
        except BaseException:
            os.close(lock)
            raise

    @property
    def notes(self) -> list[str]:
        """What was found damaged at opening, for the timeline."""
        return self.state.notes

    @property
    def is_forked(self) -> bool:
        """Whether this process was forked from the one that holds the home: then nothing is recorded."""
        return self.pid != os.getpid()

    def close(self) -> None:
        """Give the home back; what was spooled stays."""
        _open_homes.discard(self)
        self.spool.close()
        self.effects.close()
        self.page.close()
        self._unlock()

    def _vanished(self) -> Vanished | None:
        if self.page.living:
            return Vanished(self.page.living, self.page.in_flight)
        return None

    def _unlock(self) -> None:
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def _forked(self) -> None:
        # The child's copy of the descriptor would hold the lock after its parent is gone.
        self._unlock()
        self.state.forked()
        self.spool.forked()
        self.effects.forked()


def place(base: Path, name: str, instance: str) -> Path:
    """The directory of an agent and instance; names that are no safe directory names are refused."""
    for what, given, legal, letters in (
        ("name", name, NAME, "lower-case letters"),
        ("instance=", instance, INSTANCE, "letters"),
    ):
        if not isinstance(given, str) or not legal.fullmatch(given):
            raise BadArgument(
                f"{what} {given!r} cannot be used: {letters}, digits, '.', '_' and '-', at most 63, "
                "beginning with a letter or digit, such as 'refund-desk'"
            )
    return base.expanduser() / name / instance


def _locked(directory: Path, name: str) -> int:
    """The lock's descriptor. A guard makes looking and taking over one step among newcomers."""
    guard = os.open(directory / "lock.guard", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if sys.platform != "win32":
            fcntl.flock(guard, fcntl.LOCK_EX)
        path = directory / "lock"
        try:
            lock = _held(path)
        except OSError:
            holder = _holder(path)
            if not _is_dead(holder):
                pid = int(holder.get("pid", 0))
                raise AlreadyRunning(_running(name, pid), pid=pid) from None
            log.warning("sickbay: %s was held by a child of pid %s, which is gone", path, holder["pid"])
            path.unlink(missing_ok=True)
            lock = _held(path)
        with contextlib.suppress(OSError):  # on a full disk the lock holds all the same
            os.ftruncate(lock, 0)
            os.pwrite(lock, orjson.dumps(_me()), 0)
        return lock
    finally:
        os.close(guard)


def _running(name: str, pid: int) -> str:
    here = f"{name} is running here as pid {pid or 'unknown'}"
    if pid == os.getpid():
        return f"{here}, this very process: end that run first, or give each worker its own instance="
    return f"{here}: give each worker its own instance=, or stop that one"


def _held(path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _try_lock(fd)
    except OSError:
        os.close(fd)
        raise
    return fd


def _me() -> dict[str, Any]:
    return {"pid": os.getpid(), "born": _born(os.getpid()), "namespace": _namespace()}


def _holder(path: Path) -> dict[str, Any]:
    try:
        holder = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return holder if isinstance(holder, dict) and isinstance(holder.get("pid"), int) else {}


def _is_dead(holder: dict[str, Any]) -> bool:
    """Whether the holder is surely gone. A pid means something only in its own namespace."""
    if not holder or not _namespace() or holder.get("namespace") != _namespace():
        return False
    return _born(holder["pid"]) != holder.get("born")


def _born(pid: int) -> str:
    """When the process began, in ticks since boot; empty when there is none. A zombie is gone, too."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return ""


def _namespace() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _all_forked() -> None:
    for home in list(_open_homes):
        home._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_all_forked)
