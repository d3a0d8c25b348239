"""The spool's files: `00000001.ndjson` and on, each a header line and then event lines of one run.

    {"run": "…32 hex…", "started_at": 1763820000.0, "first_seq": 1}
    {"kind": "action", …}

An event's sequence number is its place: `first_seq` and one more for each line. A last line without its
newline was torn by a death or a full disk; it was never recorded and is not read.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from sickbay._lines import dumps

HEADER_LIMIT = 4096
log = logging.getLogger("sickbay")


@dataclass(slots=True)
class Segment:
    """One file. `size` counts whole lines only; `start` is where its events begin."""

    index: int
    path: Path
    run: str
    started_at: float
    first: int
    start: int
    size: int

    @property
    def empty(self) -> bool:
        return self.size <= self.start


def path_of(directory: Path, index: int) -> Path:
    return directory / f"{index:08d}.ndjson"


def header(run: str, started_at: float, first: int) -> bytes:
    return dumps({"run": run, "started_at": started_at, "first_seq": first}) + b"\n"


def found(directory: Path) -> list[Segment]:
    """The segments on disk, oldest first; what is no segment is set aside and said."""
    segments = []
    for path in sorted(directory.glob("*.ndjson")):
        segment = opened(path)
        if segment is not None:
            segments.append(segment)
        elif path.stat().st_size:
            log.warning("sickbay: %s cannot be read and is kept as *.damaged", path)
            path.rename(path.with_suffix(".damaged"))
        else:
            path.unlink()
    return segments


def opened(path: Path) -> Segment | None:
    """The segment in this file, or None when its header does not say one."""
    try:
        with path.open("rb") as file:
            first = file.readline(HEADER_LIMIT)
            head = orjson.loads(first)
            if not first.endswith(b"\n") or len(head["run"]) != 32:
                return None
            return Segment(
                index=int(path.stem),
                path=path,
                run=head["run"],
                started_at=float(head["started_at"]),
                first=int(head["first_seq"]),
                start=len(first),
                size=_whole(file.fileno()),
            )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _whole(fd: int) -> int:
    """How far the whole lines go: just behind the last newline."""
    end = os.fstat(fd).st_size
    while end > 0:
        begin = max(0, end - 65536)
        at = os.pread(fd, end - begin, begin).rfind(b"\n")
        if at >= 0:
            return begin + at + 1
        end = begin
    return 0


def count(segment: Segment, begin: int, end: int) -> int:
    """How many events lie between two offsets."""
    total = 0
    with segment.path.open("rb") as file:
        file.seek(begin)
        while begin < end:
            piece = file.read(min(1 << 20, end - begin))
            if not piece:
                break
            total += piece.count(b"\n")
            begin += len(piece)
    return total


def is_boundary(segment: Segment, offset: int) -> bool:
    """Whether a line ends just before `offset`: a cursor from before a power loss may point anywhere."""
    if not segment.start <= offset <= segment.size:
        return False
    with segment.path.open("rb") as file:
        file.seek(offset - 1)
        return file.read(1) == b"\n"


def lines(segment: Segment, offset: int, most: int, size: int) -> list[bytes]:
    """Up to `most` whole lines and about `size` bytes from `offset`; at least one line if there is one."""
    with segment.path.open("rb") as file:
        file.seek(offset)
        piece = file.read(min(size, segment.size - offset))
        if piece and b"\n" not in piece:
            piece += file.readline()
    whole = piece[: piece.rfind(b"\n") + 1]
    return whole.split(b"\n")[:-1][:most]


def events(directory: Path) -> Iterator[tuple[str, int, bytes]]:
    """(run, seq, line) of every event still on disk, oldest first. Reading needs no lock."""
    for path in sorted(directory.glob("*.ndjson")):
        segment = opened(path)
        if segment is None:
            continue
        with path.open("rb") as file:
            file.seek(segment.start)
            for seq, line in enumerate(file, segment.first):
                if line.endswith(b"\n"):
                    yield segment.run, seq, line[:-1]
