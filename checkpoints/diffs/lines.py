"""How a text file changed, line by line: counts, and stretches of lines with what stands around them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal, NamedTuple

from checkpoints.diffs import aligning, words
from checkpoints.diffs.aligning import Gap
from checkpoints.diffs.words import Span

AROUND = 3
BY_WORD, LONGEST = 40, 1_000  # lines of a gap, and characters of one, that are looked into by word
ALIKE = 0.4


class Line(NamedTuple):
    """A line with its numbers on either side, from 1."""

    kind: Literal["same", "del", "add"]
    old: int | None
    new: int | None
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Unified:
    """The hunks; `left` lines that belong to them are not shown."""

    hunks: list[list[Line]]
    left: int


def beside(hunk: Sequence[Line]) -> list[tuple[Line | None, Line | None]]:
    """The old and the new side by side: what stayed on both, what went beside what came in its place."""
    rows: list[tuple[Line | None, Line | None]] = []
    gone: list[Line] = []
    come: list[Line] = []
    for line in hunk:
        if line.kind == "add":
            come.append(line)
            continue
        if line.kind == "same" or come:
            rows += zip_longest(gone, come)
            gone, come = [], []
        if line.kind == "same":
            rows.append((line, line))
        else:
            gone.append(line)
    return [*rows, *zip_longest(gone, come)]


def split(text: str) -> list[str]:
    """The lines; the last one may have no end. Ends of two characters are one everywhere, or shown."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return [line[:-1] for line in lines] if lines and all(line[-1:] == "\r" for line in lines) else lines


def count(old: Sequence[str], new: Sequence[str]) -> tuple[int, int]:
    """How many lines came, and how many went."""
    found = list(aligning.gaps(old, new))
    return sum(g.new_end - g.new_start for g in found), sum(g.old_end - g.old_start for g in found)


def unified(
    old: Sequence[str], new: Sequence[str], shown: tuple[Sequence[str], Sequence[str]], *, most: int
) -> Unified:
    """At most so many lines, aligned as they are and written as they are `shown`."""
    hunks: list[list[Line]] = []
    room, left = most, 0
    for near in _near(list(aligning.gaps(old, new))):
        hunk = _hunk(near, len(old), shown) if room else []
        size = len(hunk) or sum(g.old_end - g.old_start + g.new_end - g.new_start for g in near)
        left += max(0, size - room)
        if hunk:
            hunks.append(hunk[:room])
        room -= min(room, size)
    return Unified(hunks, left)


def _near(gaps: list[Gap]) -> Iterator[list[Gap]]:
    """The gaps that share what stands around them."""
    together: list[Gap] = []
    for gap in gaps:
        if together and gap.old_start - together[-1].old_end > 2 * AROUND:
            yield together
            together = []
        together.append(gap)
    if together:
        yield together


def _hunk(near: list[Gap], length: int, shown: tuple[Sequence[str], Sequence[str]]) -> list[Line]:
    lines: list[Line] = []
    at = max(0, near[0].old_start - AROUND)
    for gap in near:
        lines += _same(shown, at, gap.old_start, gap.new_start - gap.old_start)
        lines += _changed(gap, shown)
        at = gap.old_end
    return lines + _same(shown, at, min(length, at + AROUND), near[-1].new_end - at)


def _same(shown: tuple[Sequence[str], Sequence[str]], start: int, end: int, shift: int) -> list[Line]:
    return [Line("same", at + 1, at + 1 + shift, (Span("same", shown[0][at]),)) for at in range(start, end)]


def _changed(gap: Gap, shown: tuple[Sequence[str], Sequence[str]]) -> Iterator[Line]:
    before, after = shown[0][gap.old_start : gap.old_end], shown[1][gap.new_start : gap.new_end]
    gone: list[tuple[Span, ...]] = [(Span("same", text),) for text in before]
    come: list[tuple[Span, ...]] = [(Span("same", text),) for text in after]
    for n, pair in enumerate(zip(before, after, strict=False)):
        if n < BY_WORD and (spans := _by_word(*pair)):
            gone[n] = tuple(span for span in spans if span.kind != "add")
            come[n] = tuple(span for span in spans if span.kind != "del")
    for n, line in enumerate(gone):
        yield Line("del", gap.old_start + n + 1, None, line)
    for n, line in enumerate(come):
        yield Line("add", None, gap.new_start + n + 1, line)


def _by_word(before: str, after: str) -> list[Span]:
    """The words that differ within a line; nothing when the lines have little in common."""
    if max(len(before), len(after)) > LONGEST:
        return []
    spans = words.compare(before, after)
    same = sum(len(span.text.strip()) for span in spans if span.kind == "same")
    return spans if same and same >= ALIKE * min(len(before), len(after)) else []
