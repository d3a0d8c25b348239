"""How a text changed, word by word; lines first when it is long, so that the cost is bounded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from checkpoints.diffs import aligning

LONG = 4_000  # words of both texts above which lines are aligned, and only changed lines by word
_WORDS = re.compile(r"\w+|\s+|[^\w\s]")


class Span(NamedTuple):
    """A stretch of text that stayed, went or came."""

    kind: Literal["same", "del", "add"]
    text: str


def compare(old: str, new: str) -> list[Span]:
    """The spans, in order: joined without what came they are the old text, without what went the new one."""
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    if len(before) + len(after) <= LONG:
        return list(_joined(_spans(before, after)))
    return list(_joined(_by_line(old.splitlines(keepends=True), new.splitlines(keepends=True))))


def _by_line(old: list[str], new: list[str]) -> Iterator[Span]:
    at = 0
    for gap in aligning.gaps(old, new):
        yield Span("same", "".join(old[at : gap.old_start]))
        before = "".join(old[gap.old_start : gap.old_end])
        after = "".join(new[gap.new_start : gap.new_end])
        words = _WORDS.findall(before), _WORDS.findall(after)
        if sum(map(len, words)) <= LONG:
            yield from _spans(*words)
        else:
            yield Span("del", before)
            yield Span("add", after)
        at = gap.old_end
    yield Span("same", "".join(old[at:]))


def _spans(old: list[str], new: list[str]) -> Iterator[Span]:
    at = 0
    for gap in aligning.gaps(old, new):
        yield Span("same", "".join(old[at : gap.old_start]))
        yield Span("del", "".join(old[gap.old_start : gap.old_end]))
        yield Span("add", "".join(new[gap.new_start : gap.new_end]))
        at = gap.old_end
    yield Span("same", "".join(old[at:]))


def _joined(spans: Iterator[Span]) -> Iterator[Span]:
    """Without empty ones, and a lone blank between two changes made part of them."""
    waiting: list[Span] = []
    for span in spans:
        if not span.text:
            continue
        if waiting and waiting[-1].kind == span.kind:
            waiting[-1] = Span(span.kind, waiting[-1].text + span.text)
        else:
            waiting.append(span)
    yield from waiting
