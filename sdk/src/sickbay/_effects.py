"""The effects ledger: what reached, or may have reached, the outside world.

One append-only file beside the spool, fsynced line by line: the intent before the effect runs, its outcome
after it, what a human says of it after that. No rollback, restore or retention touches it. An intent without
an outcome is an effect that may have happened. A key that is done is not done again (_once), unless a human
has released it (_answered).
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from sickbay._clock import Clock
from sickbay._lines import dumps
from sickbay._state import sync_directory

RESULT_LIMIT = 64 * 1024
log = logging.getLogger("sickbay")


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect. `state`: begun, done, failed, unknown, or released: it was done and its key is free again.

    `by`: who says that it stands as it is, a human or "confirm"; its result is verified no more.
    """

    id: str
    name: str
    key: str | None
    input: Any
    state: str
    at: float
    result: Any = None
    by: str = ""

    @property
    def is_free(self) -> bool:
        """Whether its key holds nothing back."""
        return self.state in ("failed", "released")


class Effects:
    """The ledger of one home; safe among threads; never raises into the host."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path, self._clock = path, clock
        self._lock = threading.Lock()
        self._fd = -1
        self._loaded = False
        self._effects: dict[str, Effect] = {}
        self._keys: dict[str, str] = {}
        self._latest: dict[str, str] = {}  # the newest effect of each key, however it ended
        self._claimed: set[str] = set()
        self._asked: set[str] = set()
        self._heard: set[str] = set()  # the commands whose answers stand here

    def intend(self, name: str, key: str | None, input: Any, id: str) -> OSError | None:
        """Write down that the effect is about to run; what the disk said when it refused.

        With a key the effect then does not run, so nothing of it is kept here either.
        """
        line = {"id": id, "name": name, "key": key, "input": input, "state": "begun"}
        return self._write(line, only_written=key is not None)

    def outcome(self, id: str, state: str, result: Any = None, *, by: str = "") -> bool:
        """Write down how it ended: done, failed or unknown; `by`: who says so, when nobody saw it."""
        kept: Any = result
        text = dumps(result)
        if len(text) <= RESULT_LIMIT:
            kept = orjson.loads(text)  # the same now and after a restart
        else:
            kept = {"head": text[:4096].decode("utf-8", "replace"), "size": len(text)}
        line = {"id": id, "state": state, "result": kept}
        return self._write({**line, "by": by} if by else line) is None

    def answered(self, effect: Effect, state: str, *, by: str, command: str) -> bool:
        """Write down what a human says of it, whatever this ledger knew; its result stays as it is."""
        line = {"id": effect.id, "name": effect.name, "key": effect.key, "state": state, "by": by}
        return self._write({**line, "command": command}) is None

    def has_heard(self, command: str) -> bool:
        """Whether the answer of this command was written down."""
        with self._lock:
            self._load()
            return command in self._heard

    def get(self, id: str) -> Effect | None:
        with self._lock:
            self._load()
            return self._effects.get(id)

    def of_run(self, run: str) -> list[Effect]:
        """What a run did, or was about to do, to the outside world."""
        with self._lock:
            self._load()
            return [effect for id, effect in self._effects.items() if id.startswith(f"{run}-")]

    def done(self, key: str) -> Effect | None:
        """The effect of this key that was done, if any."""
        with self._lock:
            self._load()
            id = self._keys.get(key)
            return self._effects.get(id) if id else None

    def of(self, key: str) -> Effect | None:
        """The effect of this key: the one that was done, else the newest."""
        with self._lock:
            self._load()
            id = self._keys.get(key) or self._latest.get(key)
            return self._effects.get(id) if id else None

    def claim(self, key: str) -> bool:
        """Whether no other action of this process has the key in flight."""
        with self._lock:
            if key in self._claimed:
                return False
            self._claimed.add(key)
            return True

    def release(self, key: str) -> None:
        with self._lock:
            self._claimed.discard(key)

    def asks(self, what: str) -> bool:
        """Whether this is the first time that this process asks; said once, however often it is tried."""
        with self._lock:
            first = what not in self._asked
            self._asked.add(what)
            return first

    def open(self) -> list[Effect]:
        """The effects that began and whose end nobody wrote down: each may have happened."""
        with self._lock:
            self._load()
            return [effect for effect in self._effects.values() if effect.state in ("begun", "unknown")]

    def between(self, since: float, until: float) -> list[dict[str, Any]]:
        """What began, or was done, in that time, as it is told; what surely did not happen is left out."""
        with self._lock:
            self._load()
            found = [e for e in self._effects.values() if since <= e.at <= until and e.state != "failed"]
        return [
            {
                "name": e.name,
                "key": e.key,
                "input": orjson.loads(dumps(e.input)),
                "state": e.state,
                "at": e.at,
            }
            for e in found
        ]

    def _write(self, entry: dict[str, Any], *, only_written: bool = False) -> OSError | None:
        entry["at"] = self._clock.wall()
        text = dumps(entry) + b"\n"
        with self._lock:
            self._load()
            refused = self._put(text)
            if refused is None or not only_written:
                self._take(entry)
        if refused is not None:
            log.error("sickbay: an effect could not be written to %s: %s", self.path, refused)
        return refused

    def _put(self, text: bytes) -> OSError | None:
        """The whole line and on the disk, or nothing of it and the reason."""
        try:
            if self._fd < 0:
                self._open()
            size = os.fstat(self._fd).st_size
            try:
                if os.write(self._fd, text) < len(text):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(self._fd)
            except OSError:
                os.ftruncate(self._fd, size)
                raise
        except OSError as error:
            return error
        return None

    def _open(self) -> None:
        new = not self.path.exists()
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(self.path, flags, 0o600)
        if new:
            sync_directory(self.path.parent)
        size = os.fstat(self._fd).st_size
        if size and os.pread(self._fd, 1, size - 1) != b"\n":
            os.write(self._fd, b"\n")  # a line torn by a death stays what it is and spoils no other

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        with contextlib.suppress(FileNotFoundError), self.path.open("rb") as file:
            for text in file:
                with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
                    self._take(orjson.loads(text))

    def _take(self, entry: dict[str, Any]) -> None:
        before = self._effects.get(entry["id"])
        said, told = entry.get("by"), "command" in entry
        effect = Effect(
            id=entry["id"],
            name=entry["name"] if before is None else before.name,
            key=entry.get("key") if before is None else before.key,
            input=entry.get("input") if before is None else before.input,
            state=entry["state"],
            at=before.at
            if before is not None and (said or told)
            else entry["at"],  # it happened then, not now
            result=before.result if before is not None and "result" not in entry else entry.get("result"),
            by=said or (before.by if before is not None and told else ""),
        )
        self._effects[effect.id] = effect
        if told:
            self._heard.add(entry["command"])
        if not effect.key:
            return
        if before is None:
            self._latest[effect.key] = effect.id
        if effect.state == "done" and not ((said or told) and effect.key in self._keys):
            self._keys[effect.key] = effect.id
        elif effect.state != "done" and self._keys.get(effect.key) == effect.id:
            del self._keys[effect.key]

    def forked(self) -> None:
        self._lock = threading.Lock()
        self.close()

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
