"""What this home knows of its newest checkpoints: a line for each, and a line when the server says more.

`<home>/checkpoints/index.ndjson`, appended with each checkpoint and made shorter now and then. It may be lost
at any time: then the server is asked, and without one the history begins anew.
"""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from sickbay._lines import dumps
from sickbay._standing import GOOD, SOAK_ACTIONS, SOAK_SECONDS, UNPROVEN, USABLE, Facts, Ruling

KEPT, LONGEST = 200, 1000


@dataclass(slots=True)
class Taken:
    """One checkpoint, as it was taken. `memory` and `workspace` are names of roots in hex."""

    id: str
    number: int
    at: float
    memory: str | None
    workspace: str | None
    standing: str
    label: str | None = None
    why: str = "asked"
    parent: str | None = None
    tainted: bool = False
    proven: bool = False
    moving: bool = False  # not of one moment, so time proves nothing

    @property
    def ruling(self) -> Ruling:
        return Ruling(self.standing, self.tainted, self.proven)


class Shelf:
    """The newest checkpoints, oldest first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._taken: dict[str, Taken] = {}
        self._counts: dict[str, tuple[int, int, float]] = {}  # what soaking needs; of this process alone
        self._lines = 0
        self._fd = -1
        self._load()

    def add(self, taken: Taken, facts: Facts, now: float) -> None:
        with self._lock:
            self._taken[taken.id] = taken
            self._counts[taken.id] = (facts.ever_ok, facts.ever_failed, now)
            for id in list(self._taken)[:-KEPT]:
                del self._taken[id]
                self._counts.pop(id, None)
            self._append(asdict(taken))

    def told(self, id: str, standing: str) -> None:
        """The server knows better how it stands."""
        with self._lock:
            taken = self._taken.get(id)
            if taken is not None and taken.standing != standing:
                taken.standing = standing
                self._append({"id": id, "standing": standing})

    def soaked(self, facts: Facts, now: float) -> None:
        """Ten actions and ten minutes that went well prove what came before them."""
        with self._lock:
            while self._counts:
                id, (ok, failed, at) = next(iter(self._counts.items()))
                taken = self._taken[id]
                may_soak = failed == facts.ever_failed and taken.standing == UNPROVEN
                may_soak = may_soak and not taken.tainted and not taken.moving
                if may_soak and (facts.ever_ok - ok < SOAK_ACTIONS or now - at < SOAK_SECONDS):
                    return  # those after it have waited for less
                del self._counts[id]
                if may_soak:
                    taken.standing = GOOD
                    self._append({"id": id, "standing": GOOD})

    def get(self, id: str | None) -> Taken | None:
        return self._taken.get(id) if id else None

    @property
    def newest(self) -> Taken | None:
        with self._lock:
            return next(reversed(self._taken.values()), None)

    def good(self) -> list[Taken]:
        """The good ones of the line that the newest descends from, newest first."""
        with self._lock:
            return [taken for taken in self._line() if taken.standing == GOOD]

    def usable(self, numbers: set[int] | None = None) -> list[Taken]:
        """What a run may go on from, the newest first; `numbers`: only of these packs."""
        with self._lock:
            newest_first = reversed(self._taken.values())
            return [
                taken
                for taken in newest_first
                if taken.standing in USABLE and (numbers is None or taken.number in numbers)
            ]

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _line(self) -> list[Taken]:
        line: list[Taken] = []
        taken = next(reversed(self._taken.values()), None)
        while taken is not None and taken not in line:
            line.append(taken)
            taken = self._taken.get(taken.parent) if taken.parent else None
        return line

    def _append(self, line: dict[str, Any]) -> None:
        self._lines += 1
        with contextlib.suppress(OSError):
            if self._lines > LONGEST:
                self._rewrite()
                return
            if self._fd < 0:
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                self._fd = os.open(self._path, flags, 0o600)
            os.write(self._fd, dumps(line) + b"\n")

    def _rewrite(self) -> None:
        new = self._path.with_suffix(".new")
        new.write_bytes(b"".join(dumps(asdict(taken)) + b"\n" for taken in self._taken.values()))
        os.replace(new, self._path)
        self.close()
        self._lines = len(self._taken)

    def _load(self) -> None:
        try:
            lines = self._path.read_bytes().splitlines()
        except OSError:
            return
        self._lines = len(lines)
        for text in lines:
            with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
                said = orjson.loads(text)
                if said.keys() == {"id", "standing"}:
                    self._taken[said["id"]].standing = said["standing"]
                else:
                    self._taken[said["id"]] = Taken(**said)
        for id in list(self._taken)[:-KEPT]:
            del self._taken[id]
