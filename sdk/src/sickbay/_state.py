"""What must outlive everything: the pause, the account, the epoch, the last settlement.

A file of its own, written first and twice: `state.json` and `state.copy.json`, each with a checksum and a
number that grows, each replaced by write, fsync, rename. The valid one with the higher number is the truth.
A torn or corrupt file is set aside and said. If nothing valid is left, nobody can say whether a human had
paused this agent, so it stays paused until one looks: silence never lifts a pause. On a full disk a reserve
is given up, so that the pause is still written.

Times of the account and of crashes are seconds of the boot clock; under another boot they are rebased.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import threading
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from sickbay import budget
from sickbay._clock import Clock
from sickbay._lines import dumps

RESERVE = 256 * 1024
LARGEST = 4 * 1024 * 1024
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

log = logging.getLogger("sickbay")


@dataclass
class Pause:
    """A pause as it travels in the snapshot. `owner`: budget, detector, human or deploy.

    `failure` is the event that spent the budget, `what` as much of it as says which sickness it is: the
    snapshot may arrive long before the event.
    """

    id: str
    owner: str
    cause: str
    at: float
    limit: str | None = None
    failure: str | None = None
    what: dict[str, Any] | None = None
    in_flight: list[str] = field(default_factory=list)
    stopped: bool = False
    asks: bool = False  # the cause is a question of the agent's own, and the guidance its answer

    def wire(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class State:
    """Everything that a restart must not forget.

    `epoch_run` is the run that `epoch` was given to; `buried` the lines that tell of a vanished run, kept
    until the next run begins; `restoring` the rollback that has begun, `rolled_back` the last one; `question`
    the last one to a human, and the pause that it made; `holds` the tools whose calls wait, as the server
    told last, and `heard` when it last answered anything.
    """

    epoch: int = 0
    epoch_run: str | None = None
    boot: str = ""
    run: str | None = None
    account: budget.Account = field(default_factory=budget.Account)
    pause: Pause | None = None
    settled: dict[str, Any] | None = None
    guidance: str | None = None
    crashes: list[float] = field(default_factory=list)
    buried: dict[str, Any] | None = None
    restoring: dict[str, Any] | None = None
    rolled_back: dict[str, Any] | None = None
    question: dict[str, Any] | None = None
    holds: dict[str, dict[str, Any]] = field(default_factory=dict)
    heard: float = float("-inf")

    def obituary(self) -> dict[str, Any] | None:
        """The line of a run that vanished; a start that is refused has no timeline to write it to."""
        lines = self.buried["lines"] if self.buried else []
        return next((line for line in lines if line.get("name") == "vanished"), None)


class StateFile:
    """The state in memory (`data`) and its two files. Saving is safe among threads."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._paths = (directory / "state.json", directory / "state.copy.json")
        self._reserve = directory / "reserve"
        self._clock = clock
        self._saving = threading.Lock()
        self._forked = False
        self._number = 0
        self._copied: tuple[Any, ...] = ()
        self.notes: list[str] = []
        self.failed_saves = 0
        self.data = self._load()
        self._keep_reserve()
        if self.notes:
            self.save()

    def save(self, sync: bool = True) -> bool:
        """Write it down; False when even the reserve did not help (and then it holds in memory only)."""
        with self._saving:  # the sender saves the epoch, the host everything else
            return not self._forked and self._save(sync)

    def forked(self) -> None:
        """In a forked child: the file stays the parent's."""
        self._saving = threading.Lock()
        self._forked = True

    def _save(self, sync: bool) -> bool:
        self._number += 1
        text = self._encoded()
        grave = self._grave()
        paths = self._paths if sync or grave != self._copied else self._paths[:1]
        try:
            # One fsync of a file, one of the directory: if power fails before the copy's bytes are on disk,
            # the copy is damaged or older, and the first file is neither.
            for path in paths:
                self._write(path, text, sync=len(paths) == 2 and path is paths[0])
            if len(paths) == 2:
                sync_directory(paths[0].parent)
        except OSError as error:
            self.failed_saves += 1
            log.error("sickbay: the state could not be written to %s: %s", self._paths[0], error)
            return False
        if len(paths) == 2:
            self._copied = grave
        return True

    def _grave(self) -> tuple[Any, ...]:
        """What the copy must never be behind on."""
        data = self.data
        pause = data.pause and data.pause.wire()
        spent, doing = data.account.number, (data.restoring, data.holds)
        return (pause, data.settled, data.guidance, data.epoch, spent, *doing)

    def _encoded(self) -> bytes:
        data, now = self.data, self._clock.boot()
        body = dumps(
            {
                "number": self._number,
                "boot": self._clock.boot_id,
                "boot_at": now,
                "epoch": data.epoch,
                "epoch_run": data.epoch_run,
                "run": data.run,
                "account": budget.dump(data.account, now),
                "pause": data.pause and data.pause.wire(),
                "settled": data.settled,
                "guidance": data.guidance,
                "crashes": data.crashes,
                "buried": data.buried,
                "restoring": data.restoring,
                "rolled_back": data.rolled_back,
                "question": data.question,
                "holds": data.holds,
                "heard": data.heard if data.holds else now,
            }
        )
        return _checksum(body) + b"\n" + body + b"\n"

    def _write(self, path: Path, text: bytes, *, sync: bool) -> None:
        try:
            _replace(path, text, sync=sync)
        except OSError as error:
            if error.errno not in FULL or not self._reserve.exists():
                raise
            log.warning("sickbay: the disk is full: %s; the reserve is used to write the state", error)
            self._reserve.unlink(missing_ok=True)
            _replace(path, text, sync=sync)
            self._keep_reserve()

    def _keep_reserve(self) -> None:
        """Real bytes, so that giving them up frees real blocks."""
        with contextlib.suppress(OSError):
            if self._reserve.exists() and self._reserve.stat().st_size == RESERVE:
                return
            try:
                _replace(self._reserve, os.urandom(RESERVE), sync=True)
            except OSError:
                self._reserve.unlink(missing_ok=True)

    def _load(self) -> State:
        found = [path for path in self._paths if path.exists()]
        read = [(path, _read(path)) for path in found]
        for path, body in read:
            if body is None:
                self._set_aside(path)
        for body in sorted((b for _, b in read if b is not None), key=_number, reverse=True):
            with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
                state = self._decoded(body)
                self._number = _number(body)
                return state
        if found:
            return self._unreadable()
        return State(boot=self._clock.boot_id)

    def _decoded(self, body: dict[str, Any]) -> State:
        now, then = self._clock.boot(), float(body["boot_at"])
        same = body["boot"] == self._clock.boot_id and then <= now
        account = budget.load(body["account"], then if same else now)
        pause = body["pause"]
        settled = body["settled"]
        return State(
            epoch=int(body["epoch"]),
            epoch_run=body["epoch_run"],
            boot=self._clock.boot_id,
            run=body["run"],
            account=account if same else budget.rebased(account, now),
            pause=Pause(**pause) if pause else None,
            settled=dict(settled) if settled else None,
            guidance=body["guidance"],
            crashes=[float(at) if same else now for at in body["crashes"]],
            buried=body.get("buried"),
            restoring=body.get("restoring"),
            rolled_back=body.get("rolled_back"),
            question=body.get("question"),
            holds=dict(body.get("holds") or {}),
            heard=float(body.get("heard") or 0.0) if same else now,
        )

    def _unreadable(self) -> State:
        cause = "its own record of pauses is damaged, so it cannot know whether it was paused"
        self.notes.append(f"{self._paths[0].name} and its copy are damaged; paused until a human looks")
        log.error("sickbay: %s: %s", self._paths[0], cause)
        pause = Pause(id=str(uuid.uuid4()), owner="detector", cause=cause, at=self._clock.wall())
        return State(boot=self._clock.boot_id, pause=pause)

    def _set_aside(self, path: Path) -> None:
        aside = path.with_suffix(".damaged")
        self.notes.append(f"{path.name} was damaged and is kept as {aside.name}")
        log.warning("sickbay: %s was damaged and is kept as %s", path, aside.name)
        with contextlib.suppress(OSError):
            path.rename(aside)


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).hexdigest().encode()


def _read(path: Path) -> dict[str, Any] | None:
    """What the file says, or None when it is not exactly what was written."""
    try:
        if path.stat().st_size > LARGEST:
            return None
        head, _, rest = path.read_bytes().partition(b"\n")
        body = rest.removesuffix(b"\n")
        if head != _checksum(body):
            return None
        value = orjson.loads(body)
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _number(body: dict[str, Any]) -> int:
    number = body.get("number")
    return number if isinstance(number, int) else 0


def _replace(path: Path, text: bytes, *, sync: bool) -> None:
    """The file is the old one or the new one, never half of either."""
    new = path.with_suffix(".new")
    try:
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            written = 0
            while written < len(text):
                written += os.write(fd, text[written:])
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(new, path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise


def sync_directory(directory: Path) -> None:
    """A rename or a new file survives power loss only once its directory is synced."""
    with contextlib.suppress(OSError):
        fd = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
