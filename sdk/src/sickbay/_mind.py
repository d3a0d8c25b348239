"""The agent's memory, as a checkpoint holds it and as a restore puts it back.

editing   a lock: while it is held no snapshot is taken, of the memory or of the workspace
secrets   copies along their paths, without them; at a restore the living ones are kept
faults    what JSON would change in silence: all of a small memory is looked at, of a large one the newest
          items of its lists and a share that moves on each time
text      one call of orjson, which holds the interpreter: one moment, whatever other threads do
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from sickbay._errors import SickbayError
from sickbay._memory import Memory
from sickbay.tree.faults import Unspeakable, faults_in

SMALL = 64 * 1024  # bytes of a text that is looked at as a whole
FEW = 16  # items: containers that have twice as many are looked at as a whole
SHARES = 200  # of larger ones, one of so many parts each time
MOST_BOXES = 5_000
BOXES = (dict, list)
EDITED_AT_MOST = 10.0  # seconds that a snapshot waits for `editing()`

Path = tuple[str, ...]


class NoMemory(SickbayError):
    """There is no text of this memory now; the message says why."""


class Since(NamedTuple):
    """How often it had been edited, and whether the thread that asked was editing."""

    times: int
    mine: bool


class Editing:
    """A lock that its thread may take again. `times` counts what was edited, so that a snapshot can tell."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._owner, self._depth = 0, 0
        self.times = 0

    def __enter__(self) -> Editing:
        self._lock.acquire()
        self._owner, self._depth = threading.get_ident(), self._depth + 1
        return self

    def __exit__(self, *raised: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._owner = 0
        self.times += 1
        self._lock.release()

    def since(self) -> Since:
        """Now, for whoever wants to know later whether it is still the same moment."""
        return Since(self.times, self._owner == threading.get_ident())

    @contextmanager
    def held_off(self) -> Iterator[None]:
        """Nobody else edits meanwhile; NoMemory when somebody does, for too long."""
        if not self._lock.acquire(timeout=EDITED_AT_MOST):
            raise NoMemory(f"agent.editing() has been held for more than {EDITED_AT_MOST:g} s")
        try:
            yield
        finally:
            self._lock.release()


class Mind:
    """One agent's memory. `holder` has it as `memory`: a dict, or Memory(save=…, load=…)."""

    def __init__(self, holder: Any, secrets: list[Path]) -> None:
        self._holder, self._secrets = holder, secrets
        self.editing = Editing()
        self._turn = 0

    def __bool__(self) -> bool:
        """Whether there is anything to remember yet."""
        return bool(self._holder.memory)

    def text(self) -> bytes:
        """What a checkpoint holds of it; Unspeakable or NoMemory say why there is none."""
        from sickbay.tree.text import dump  # 15 ms, and whoever declares an agent need not pay

        with self.editing.held_off():
            value = self._value()
            for path in self._secrets:
                value = without(value, path)
            try:
                text = dump(value)
                for fault in self._faults(value, text):
                    raise fault
            except RuntimeError as error:
                raise NoMemory(
                    f"another thread changed it meanwhile ({error}): use agent.editing()"
                ) from error
        return text

    @contextmanager
    def with_files(self, text: bytes, since: Since) -> Iterator[bytes]:
        """The text while the files that go with it are looked at; nobody edits either of them meanwhile.

        Where they were edited since the text was taken, it is taken again. A thread that takes a checkpoint
        within its own `editing()` holds everybody off already, and may be waiting for the one that looks.
        """
        if since.mine:
            yield text
            return
        with self.editing.held_off():
            if self.editing.times != since.times:
                try:
                    text = self.text()
                except Exception as error:  # save() is the host's, and may raise anything
                    raise NoMemory(str(error) or type(error).__name__) from error
            yield text

    def put(self, text: bytes) -> None:
        """Make it what the text says; secrets stay what they are. `agent.memory` stays the same dict."""
        from sickbay.tree.text import load

        value = load(text)
        memory = self._holder.memory
        with self.editing:
            if self._secrets:
                living = self._value()
                for path in self._secrets:
                    _kept(living, value, path)
            if isinstance(memory, Memory):
                memory.load(value)
                return
            memory.clear()
            memory.update(value)

    def _value(self) -> Any:
        memory = self._holder.memory
        return memory.save() if isinstance(memory, Memory) else memory

    def _faults(self, value: Any, text: bytes) -> Iterator[Unspeakable]:
        if len(text) <= SMALL:
            return faults_in(value)
        self._turn += 1
        return sampled(value, self._turn)


def without(value: Any, path: Path) -> Any:
    """The value without what is at the path: dicts on the way are copied, nothing else."""
    if not isinstance(value, dict) or path[0] not in value:
        return value
    copy = dict(value)
    if len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = without(copy[path[0]], path[1:])
    return copy


def _kept(living: Any, value: Any, path: Path) -> None:
    """Take the living secret over, where there is a place for it."""
    for key in path[:-1]:
        living = living.get(key) if isinstance(living, dict) else None
        value = value.get(key) if isinstance(value, dict) else None
    if isinstance(living, dict) and isinstance(value, dict) and path[-1] in living:
        value[path[-1]] = living[path[-1]]


def sampled(value: Any, turn: int) -> Iterator[Unspeakable]:
    """Faults among the newest items of long lists, and in a share of the rest that `turn` moves on."""
    boxes: list[tuple[Any, str, int]] = [(value, "memory", 0)]
    for _ in range(MOST_BOXES):
        if not boxes:
            return
        box, path, depth = boxes.pop()
        if type(box) is list and len(box) > 2 * FEW:
            for start, end in _ranges(len(box), turn):
                yield from _of_list(box[start:end], start, path, depth)
        elif type(box) is list:
            yield from faults_in([None if type(item) in BOXES else item for item in box], path, depth)
            boxes += [
                (item, f"{path}[{at}]", depth + 1) for at, item in enumerate(box) if type(item) in BOXES
            ]
        elif type(box) is dict:
            items = list(box.items())
            few = [item for start, end in _ranges(len(items), turn) for item in items[start:end]]
            yield from faults_in({k: None if type(v) in BOXES else v for k, v in few}, path, depth)
            boxes += [(v, f"{path}[{k!r:.60}]", depth + 1) for k, v in few if type(v) in BOXES]
        else:
            yield from faults_in(box, path, depth)


def _of_list(items: list[Any], start: int, path: str, depth: int) -> Iterator[Unspeakable]:
    """One look at all of them; only where there is a fault, a second one for its place."""
    if next(faults_in(items, path, depth), None) is not None:
        for at, item in enumerate(items, start):
            yield from faults_in(item, f"{path}[{at}]", depth + 1)


def _ranges(length: int, turn: int) -> Iterator[tuple[int, int]]:
    if length <= 2 * FEW:
        yield 0, length
        return
    share = max(FEW, length // SHARES)
    start = turn * share % length
    yield start, min(length, start + share)
    yield length - FEW, length
