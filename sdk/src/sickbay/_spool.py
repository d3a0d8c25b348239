"""The spool: what the agent recorded, on disk until the server has it.

Appending is one os.write at the end of the newest segment, under a lock, so that lines given together stand
together. The kernel keeps what was written when the process is killed; a pause, a failure, a command is
fsynced as well, the rest within a second by the sender.

What is dropped, and how that is said:
- over the limit (500 MB) the oldest segment goes first, sent or not; the newest is always kept;
- on a full disk the new line is not stored; its number is not given again, so the gap is visible;
- a child forked from a running agent records nothing: the run belongs to its parent.
Each drop is counted on the mark, which outlives kill -9, and told by a signal event as soon as one can be
written. Nothing here raises into the host.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sickbay import _segments
from sickbay._clock import Clock
from sickbay._lines import line
from sickbay._mark import Mark
from sickbay._segments import Segment
from sickbay._state import sync_directory

LIMIT = 500 * 1024 * 1024
SEGMENT = 4 * 1024 * 1024
KEPT = 1024 * 1024
RETRY_FULL = 1.0
log = logging.getLogger("sickbay")


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines of one run that the server has not acknowledged, and where they lie."""

    run: str
    started_at: float
    first: int
    lines: list[bytes]
    segment: int
    offset: int
    more: bool


class Spool:
    """One writer (the process that holds the home), one reader (its sender)."""

    def __init__(
        self, directory: Path, page: Mark, clock: Clock, *, limit: int = LIMIT, segment: int = SEGMENT
    ) -> None:
        self.directory = directory
        self.page = page
        self.run: str | None = None
        self.seq = 0
        self.wake: Callable[[bool], None] = _nobody
        self._clock = clock
        self._limit, self._segment_limit = limit, segment
        self._lock = threading.Lock()
        self._fd = -1
        self._live = self._dirty = self._full = self._forked = self._interrupted = self._closed = False
        self._started_at = self._retry_at = 0.0
        self._why = "the earlier run could not write them"
        self._segments = _segments.found(directory)
        self._seat: tuple[int, int, int] | None = None

    # Writing

    def begin(self, run: str, started_at: float) -> None:
        """Number from 1 for this run. Nothing is written before its first event."""
        with self._lock:
            self._close_segment()
            self.run, self.seq, self._started_at, self._live = run, 0, started_at, False

    def append(self, *events: dict[str, Any], sync: bool = False) -> list[int]:
        """Record the events side by side and give their numbers; `sync`: they survive power loss, too."""
        texts = [line(event) for event in events]
        with self._lock:
            if self.run is None or self._forked:
                return self._astray(len(texts))
            if self._interrupted:
                self._recover()
            written = self._write(texts, sync) if self.page.is_all_told else self._tell(texts, sync)
            self.seq += len(texts)
            self._interrupted = False
            if not written:
                self.page.dropped += len(texts)
            if not self._live:
                self._live = True
                self.page.live(self.run)
            seqs = list(range(self.seq - len(texts) + 1, self.seq + 1))
        if written and sync:
            self.sync()
        self.wake(sync)
        return seqs

    def mark(self, doing: str | None) -> None:
        """What is in flight; a memory write that outlives kill -9."""
        if not self._forked:
            self.page.doing(doing)

    def end(self) -> None:
        """The run ended by itself: its silence from here on is no death."""
        with self._lock:
            if self._forked:
                return
            self._close_segment()
            if self._live:
                self.page.doing(None)
                self.page.ended()
            self.run, self._live = None, False

    def sync(self) -> None:
        """Make what was appended survive power loss; called about once a second."""
        with self._lock:
            if not self._dirty or self._fd < 0:
                return
            self._dirty = False
            try:
                fd = os.dup(self._fd)  # synced outside the lock: appending goes on meanwhile
            except OSError:
                return _datasync(self._fd)
        try:
            _datasync(fd)
        finally:
            os.close(fd)

    def _write(self, texts: list[bytes], sync: bool) -> bool:
        """One write for all the lines, from the next number on, or for none of them."""
        if self._full and time.monotonic() < self._retry_at and not sync:
            return False
        text = b"\n".join(texts) + b"\n"
        self._interrupted = True
        try:
            segment = self._room(self.seq + 1, len(text))
            if os.write(self._fd, text) < len(text):
                os.ftruncate(self._fd, segment.size)
                raise OSError(errno.ENOSPC, "only a part of the line was taken")
        except OSError as error:
            if not self._full:
                log.error("sickbay: events cannot be recorded in %s: %s", self.directory, error)
            self._full, self._retry_at = True, time.monotonic() + RETRY_FULL
            self._close_segment()
            self._why = f"the disk refused them ({error.strerror or error})"
            return False
        segment.size += len(text)
        self._dirty, self._full = True, False
        return True

    def _astray(self, count: int) -> list[int]:
        if self._forked:
            if not self.page.dropped_in_children:
                log.warning("sickbay: this process was forked from a running agent: give it an instance=")
            self.page.dropped_in_children += count
        else:
            self.page.dropped += count
            self._why = "they were recorded outside a run"
        return [0] * count

    def _tell(self, texts: list[bytes], sync: bool) -> bool:
        """Write the lines behind a signal that says what was dropped since the last one."""
        page = self.page
        dropped, forked = page.dropped, page.dropped_in_children
        new, of_children = dropped - page.told, forked - page.told_of_children
        why = self._why if new else "a process forked from the running agent recorded them"
        signal = {
            "kind": "signal",
            "at": self._clock.wall(),
            "name": "spool",
            "level": "warn",
            "title": f"{new + of_children} events were dropped: {why}"[:500],
            "dropped": new,
            "dropped_in_children": of_children,
            "dropped_ever": dropped,
        }
        if not self._write([line(signal), *texts], sync):
            return False
        self.seq += 1
        page.told, page.told_of_children = dropped, forked
        return True

    def _recover(self) -> None:
        """An exception from outside (Ctrl-C) hit an append half-way: what is on disk has happened."""
        self._interrupted = False
        if self._fd < 0:
            return
        self._close_segment()
        newest = self._segments[-1]
        again = _segments.opened(newest.path)
        if again is not None:
            newest.size = again.size
            self.seq = max(self.seq, newest.first - 1 + _segments.count(newest, newest.start, newest.size))

    def _room(self, first: int, length: int) -> Segment:
        """The segment to write into: the open one, or a new one that begins with event `first`."""
        if self._fd >= 0 and self._segments[-1].size + length <= self._segment_limit:
            return self._segments[-1]
        self._close_segment()
        self._bound(length)
        assert self.run is not None
        head = _segments.header(self.run, self._started_at, first)
        index = 1 + max(self._segments[-1].index if self._segments else 0, self.page.cursor[0])
        path = _segments.path_of(self.directory, index)
        while path.exists():  # left by an interrupted attempt
            index += 1
            path = _segments.path_of(self.directory, index)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            if os.write(self._fd, head) < len(head):
                raise OSError(errno.ENOSPC, "no room for a new segment")
        except OSError:
            path.unlink(missing_ok=True)
            raise
        sync_directory(self.directory)
        self._segments.append(Segment(index, path, self.run, self._started_at, first, len(head), len(head)))
        return self._segments[-1]

    def _close_segment(self) -> None:
        if self._fd < 0:
            return
        if not self._forked:
            _datasync(self._fd)
        os.close(self._fd)
        self._fd, self._dirty = -1, False

    def _bound(self, length: int) -> None:
        """Let the oldest go until there is room for one segment more."""
        coming = max(self._segment_limit, length)
        while len(self._segments) > 1 and self.size + coming > self._limit:
            oldest = self._segments.pop(0)
            unsent = self._unsent_in(oldest)
            with contextlib.suppress(OSError):
                oldest.path.unlink()
            if unsent:
                log.error("sickbay: %s is full: %d unsent events were dropped", self.directory, unsent)
                self.page.dropped += unsent
                self._why = f"the spool reached {self._limit // 1_000_000} MB; the oldest went first"

    @property
    def size(self) -> int:
        return sum(segment.size for segment in self._segments)

    @property
    def is_dirty(self) -> bool:
        """Whether something was written that power loss could still take."""
        return self._dirty

    @property
    def started_at(self) -> float:
        return self._started_at

    # Reading

    def batch(self, most: int = 500, bytes: int = 256 * 1024) -> Batch | None:
        """The oldest lines that the server has not acknowledged, of one run; None when it has all."""
        while True:
            with self._lock:
                at = self._next()
                if at is None:
                    return None
                segment, offset, seq = at
                size = segment.size
            try:
                lines = _segments.lines(segment, offset, most, bytes)
            except FileNotFoundError:
                self._forget(segment)  # dropped meanwhile, as the oldest of a full spool
                continue
            if not lines:
                self._skip(segment)
                continue
            end = offset + sum(len(line) + 1 for line in lines)
            more = end < size or segment is not self._segments[-1]
            return Batch(segment.run, segment.started_at, seq, lines, segment.index, offset, more)

    def acknowledged(self, batch: Batch, count: int) -> None:
        """The server has the first `count` lines of the batch; whole segments that it has are let go."""
        length = sum(len(line) + 1 for line in batch.lines[:count])
        with self._lock:
            if self._closed or not any(s.index == batch.segment for s in self._segments):
                return
            self.page.cursor = (batch.segment, batch.offset + length)
            self._seat = (batch.segment, batch.offset + length, batch.first + count)
            self._let_go()

    @property
    def unsent(self) -> int:
        """How many events the server has not acknowledged."""
        with self._lock:
            return sum(self._unsent_in(segment) for segment in self._segments)

    def newest_run(self) -> tuple[str, float]:
        """The run that recorded last, and when it began."""
        newest = self._segments[-1]
        return newest.run, newest.started_at

    def _forget(self, segment: Segment) -> None:
        with self._lock:
            if segment in self._segments and not segment.path.exists():
                self._segments.remove(segment)

    def _skip(self, segment: Segment) -> None:
        """The file holds less than was written: someone else shortened it."""
        log.error("sickbay: %s was cut short by another hand", segment.path)
        with self._lock:
            self.page.cursor = (segment.index, segment.size)

    def _next(self) -> tuple[Segment, int, int] | None:
        """Where the next unsent line is: segment, offset, number."""
        index, offset = self.page.cursor
        for segment in self._segments:
            if segment.index < index or segment.empty:
                continue
            if segment.index > index:
                return segment, segment.start, segment.first
            if offset >= segment.size:
                continue
            if self._seat is None or self._seat[:2] != (index, offset):
                self._seat = self._seated(segment, offset)
            return segment, self._seat[1], self._seat[2]
        return None

    def _seated(self, segment: Segment, offset: int) -> tuple[int, int, int]:
        if not _segments.is_boundary(segment, offset):
            offset = segment.start  # a cursor that lies only makes repeats, which the server knows
        return segment.index, offset, segment.first + _segments.count(segment, segment.start, offset)

    def _unsent_in(self, segment: Segment) -> int:
        index, offset = self.page.cursor
        if segment.index < index:
            return 0
        begin = offset if segment.index == index else segment.start
        try:
            return _segments.count(segment, max(begin, segment.start), segment.size)
        except OSError:
            return 0

    def _let_go(self) -> None:
        """Unlink what was sent, but for the newest that holds an event and a little history before it."""
        index, offset = self.page.cursor
        sent = [s for s in self._segments if s.index < index or (s.index == index and offset >= s.size)]
        holding = [s for s in self._segments if not s.empty]
        if not sent or not holding:
            return
        kept = 0
        for segment in reversed(sent):
            kept += segment.size
            if segment is holding[-1] or segment is self._segments[-1] or kept <= KEPT:
                continue
            with contextlib.suppress(OSError):
                segment.path.unlink(missing_ok=True)
            self._segments.remove(segment)

    # Ends

    def forked(self) -> None:
        """In a forked child: the run, its file and its numbers stay the parent's."""
        self._lock = threading.Lock()
        self._forked = self._closed = True
        self.wake = _nobody
        self._close_segment()

    def close(self) -> None:
        """From here on a late sender moves nothing: the next home of this place may be open already."""
        with self._lock:
            self._close_segment()
            self.run, self._closed = None, True


def _datasync(fd: int) -> None:
    with contextlib.suppress(OSError):
        getattr(os, "fdatasync", os.fsync)(fd)


def _nobody(urgent: bool) -> None:
    """Nobody sends: the spool keeps."""
