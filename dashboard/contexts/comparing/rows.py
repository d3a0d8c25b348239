"""One difference of two memories in one row: a message, a value before and after, or a text by word.

Secrets are masked before anything else is done with a text. What is too large says so, and how large.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from checkpoints import secrets
from checkpoints.diffs import places, words
from checkpoints.diffs.items import Item, Path, value_of
from checkpoints.diffs.loading import Fetch
from checkpoints.diffs.memory import Change
from checkpoints.diffs.words import Span
from dashboard import phrasing
from dashboard.contexts import messages
from dashboard.contexts.comparing import paths

SHORT, LONGEST_NAME = 60, 120
ALIKE = 0.4
AROUND = 80
SIGNS = {
    "add": "+",
    "remove": phrasing.MINUS,
    "change": "",
    "move": "\N{DOWNWARDS ARROW LEFTWARDS OF UPWARDS ARROW}",
}
TONES = {"add": "add", "remove": "del", "change": "", "move": "move", "same": "same"}
NOTES = {"move": "moved", "same": ""}


@dataclass(frozen=True, slots=True)
class Room:
    """How much is shown of one value, loaded of one and of all, and compared by word."""

    text: int = 600
    load: int = 65_536
    all: int = 1_048_576
    words: int = 40_000
    spans: int = 2_400


TIGHT = Room()
ROOMY = Room(text=20_000, load=1_048_576, all=4_194_304, words=1_048_576, spans=40_000)


@dataclass(frozen=True, slots=True)
class Row:
    """`look` is its template. `more`: not all of it is shown; `masked`: a secret is not."""

    look: str
    sign: str = ""
    tone: str = ""
    place: str = ""
    name: str = ""
    text: str = ""
    code: bool = False
    time: str = ""
    old: str | None = None
    new: str | None = None
    spans: tuple[Span, ...] = ()
    note: str = ""
    masked: bool = False
    more: bool = False
    query: str = ""
    inner: bool = False

    @property
    def template(self) -> str:
        return f"partials/compare_{self.look}.html"

    @property
    def since(self) -> str:
        """Where it can be asked since when; of what is gone from a list, its place says nothing now."""
        return "" if self.tone == "del" and (self.place or self.inner) else self.query

    @property
    def id(self) -> str:
        return f"r-{hashlib.sha256(f'{self.look}{self.tone}{self.query}'.encode()).hexdigest()[:12]}"


Texts = Mapping[tuple[bytes, bytes], bytes]


def loaded(changes: Iterable[Change], fetch: Fetch, room: Room = TIGHT) -> Texts:
    """The texts of what is named and not too large, all together."""
    wanted: dict[tuple[bytes, bytes], Item] = {}
    left = room.all
    for change in changes:
        for item in (change.old, change.new):
            if item is None or item.piece is None or not item.length <= room.load or item.mark in wanted:
                continue
            left -= item.length
            if left >= 0:
                wanted[item.mark] = item
    return dict(zip(wanted, places.texts(wanted.values(), fetch), strict=True))


def drawn(change: Change, base: int, texts: Texts, room: Room = TIGHT, *, mask: bool = True) -> Row:
    """The row; `base` is how much of the path its section has said already."""
    was = change.was if change.was is not None else change.path
    at = None if change.op == "remove" else change.path
    before = None if change.op == "add" else was
    query = paths.query(at, before)
    path = change.path
    sides = [_side(item, path, texts, mask=mask) for item in (change.old, change.new)]
    if change.op == "change":
        return _changed(change, path[base:], sides, query, room)
    side = sides[0] if change.op == "remove" else sides[1]
    assert side is not None
    return _whole(change, path[base:], was, side, query, room)


@dataclass(frozen=True, slots=True)
class Side:
    """One value as it may be shown; `value` is missing where it is too large to be loaded."""

    item: Item
    value: Any = None
    known: bool = True
    masked: bool = False

    @property
    def text(self) -> str:
        if self.value == secrets.MASK:
            return secrets.MASK
        return json.dumps(self.value, ensure_ascii=False) if self.known else ""

    @property
    def size(self) -> str:
        kind = "text" if not self.item.is_container else "value"
        return f"{kind} of {phrasing.size(self.item.length)}"


def _side(item: Item | None, path: Path, texts: Texts, *, mask: bool) -> Side | None:
    if item is None:
        return None
    text = item.text if item.piece is None else texts.get(item.mark)
    if text is None:
        return Side(item, known=False)
    value = value_of(text)
    shown = secrets.masked_value(value, path) if mask else value
    return Side(item, shown, masked=shown != value)


def _whole(change: Change, rest: Path, was: Path, side: Side, query: str, room: Room) -> Row:
    """What came, went, moved or stayed."""
    place, name, inner = _named(rest)
    said: dict[str, Any] = {
        "sign": SIGNS.get(change.op, ""), "tone": TONES[change.op], "place": place, "query": query,
        "masked": side.masked, "inner": inner, "note": _moved(change, was),
    }  # fmt: skip
    if not side.known:
        said |= {"more": side.item.length <= ROOMY.load, "note": f"too large, shown as its size: {side.size}"}
        return Row("item", name=name, **said)
    message = messages.read(side.value) if not name else None
    if message:
        text, more = _cut(message.text, room.text)
        return Row(
            "item", name=message.role, text=text, code=message.code, time=message.at, more=more, **said
        )
    text, more = _cut(side.text, room.text)
    return Row("item", name=name, text=text, code=True, more=more, **said)


def _changed(change: Change, rest: Path, sides: list[Side | None], query: str, room: Room) -> Row:
    """A value before and after; long texts by word."""
    old, new = sides
    assert old is not None and new is not None
    place, name, inner = _named(rest)
    masked = old.masked or new.masked
    said: dict[str, Any] = {"place": place, "name": name, "query": query, "masked": masked, "inner": inner}
    if not (old.known and new.known):
        more = max(old.item.length, new.item.length) <= ROOMY.load
        sizes = f"too large, shown as its size: {phrasing.sizes(old.item.length, new.item.length)}"
        return Row("text", note=sizes, more=more, **said)
    if masked and old.value == new.value:
        return Row("value", old=old.text, new=new.text, note="changed, in what is masked", **said)
    texts = isinstance(old.value, str) and isinstance(new.value, str)
    if texts and (max(len(old.value), len(new.value)) > SHORT or "\n" in old.value + new.value):
        return _by_word(old.value, new.value, said, room)
    before, less = _cut(old.text, room.text // 2)
    after, more = _cut(new.text, room.text // 2)
    return Row("value", old=before, new=after, more=less or more, **said)


def _by_word(old: str, new: str, said: dict[str, Any], room: Room) -> Row:
    if len(old) + len(new) > room.words:
        sizes = phrasing.sizes(len(old.encode("utf-8", "replace")), len(new.encode("utf-8", "replace")))
        return Row("text", note=f"too large, shown as its size: {sizes}", more=room is TIGHT, **said)
    spans = words.compare(old, new)
    if _same(spans) < ALIKE * min(len(old), len(new)):
        spans = [Span("del", old), Span("add", new)]
    shown, more = condensed(spans, room)
    count = len(new.split())
    changed = sum(
        span.kind != "same" and (not n or spans[n - 1].kind == "same") for n, span in enumerate(spans)
    )
    note = f"text of {phrasing.some(count, 'word')}, changed in {phrasing.some(changed, 'place')}"
    return Row("text", spans=shown, note=note, more=more and room is TIGHT, **said)


def _same(spans: list[Span]) -> int:
    """How many characters stayed in stretches that are worth reading as such."""
    return sum(len(span.text) for span in spans if span.kind == "same" and len(span.text) > 3)


def condensed(spans: list[Span], room: Room) -> tuple[tuple[Span, ...], bool]:
    """What stayed is shortened to what stands around a change, and all of it to the room there is."""
    shown: list[Span] = []
    left, cut = room.spans, False
    for n, span in enumerate(spans):
        text = span.text
        if span.kind == "same" and room is TIGHT:
            text = _around(text, is_first=n == 0, is_last=n == len(spans) - 1)
        elif len(text) > room.text:
            text = text[: room.text] + "…"
        cut = cut or text != span.text
        if left <= 0:
            return (*shown, Span("same", " …")), True
        shown.append(Span(span.kind, text))
        left -= len(text)
    return tuple(shown), cut


def _around(text: str, *, is_first: bool, is_last: bool) -> str:
    head, tail = ("" if is_first else text[:AROUND]), ("" if is_last else text[-AROUND:])
    return text if len(text) <= 2 * AROUND + 10 else f"{head} … {tail}"


def _named(rest: Path) -> tuple[str, str, bool]:
    """The place in the section's list, the name below it, and whether it is part of an item."""
    if rest and isinstance(rest[0], int):
        return str(rest[0]), _cut(paths.words(rest[1:]), LONGEST_NAME)[0], len(rest) > 1
    return "", _cut(paths.words(rest), LONGEST_NAME)[0], False


def _moved(change: Change, was: Path) -> str:
    if change.op != "move" or not was:
        return ""
    same = change.path[:-1] == was[:-1]
    return f"was at {was[-1]}" if same and isinstance(was[-1], int) else "moved"


def _cut(text: str, most: int) -> tuple[str, bool]:
    return (text, False) if len(text) <= most else (text[: most - 1].rstrip() + "…", True)
