"""One line of a batch, read strictly: what Postgres, a page or an alert could choke on is refused here.

The quick way: orjson reads the line (no NaN, no lone surrogates, valid UTF-8), and writes it again. The same
bytes prove that no key stood twice, no number was bent and nothing was left out; the SDK spools what orjson
wrote, so this is the usual case, and a batch of such lines is read at once, at 3 µs each. Any other spelling
goes the exact way through the standard library's parser, at 10 µs. Then the fields that the server uses are
checked by type and length; unknown ones are ignored and kept in the body.

A refused line is an answer, never an error: it is quarantined with its bytes, and its neighbours flow on.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import orjson

LONGEST = 64 * 1024
DEEPEST = 64
MOST_NODES = 10_000
NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"')
INT8 = 2**63
YEAR_2100 = 4_102_444_800.0
EPOCH = dt.datetime.fromtimestamp(0, dt.UTC)

Hex32 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}$")]
AgentName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
InstanceName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
Time = Annotated[float, msgspec.Meta(ge=0, le=YEAR_2100)]
Epoch = Annotated[int, msgspec.Meta(ge=0, le=INT8 - 1)]
Key = Annotated[str, msgspec.Meta(max_length=200)]
Ref = Annotated[str, msgspec.Meta(max_length=60)]
Kind = Literal["action", "failure", "signal", "verdict", "pause", "command", "run", "effect", "rollback"]
Failure = Literal["error", "verification", "crash", "contract", "drift", "corruption", "silence", "blocked"]


class Refused(ValueError):
    """This line cannot be stored; the reason says why."""


class Header(msgspec.Struct, frozen=True):
    """Line 1 of a batch: who sends, of which run, from where on, and the sender's state."""

    agent: AgentName
    instance: InstanceName
    run: Hex32
    started_at: Time
    first_seq: Annotated[int, msgspec.Meta(ge=1, le=INT8 - 10_000)]
    n: Annotated[int, msgspec.Meta(ge=0, le=2000)]
    sent_at: Time
    process: Hex32 | None = None
    epoch: Epoch | None = None
    state: dict[str, Any] | None = None


class Event(msgspec.Struct, frozen=True):
    """What the server itself reads of an event; the rest stays in the body."""

    kind: Kind
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    at: Time
    outcome: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    verdict: Literal["pass", "fail", "unknown"] | None = None
    title: Annotated[str, msgspec.Meta(max_length=500)] | None = None
    failure: Failure | None = None
    exception: str | None = None
    message: str | None = None
    fingerprint: Key | None = None
    counted: bool = True
    transient: bool = False
    external: bool = False
    key: Key | None = None
    effect: Literal["done", "failed", "unknown", "none"] | None = None
    of: Ref | None = None
    confirms: bool = False
    act: Annotated[int, msgspec.Meta(ge=0, le=INT8 - 1)] | None = None
    pause: Ref | None = None
    command: Ref | None = None
    run: Hex32 | None = None
    doing: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    input: Any = None
    output: Any = None


@dataclass(slots=True)
class Line:
    """One new line: its place, its bytes, and what they say, or why they were refused."""

    seq: int
    raw: bytes
    event: Event | None
    reason: str = ""
    at: int = 0  # in µs since 1970, on our clock
    late: bool = False

    @property
    def time(self) -> dt.datetime:
        return moment(self.at)


def moment(at: int) -> dt.datetime:
    return EPOCH + dt.timedelta(microseconds=at)


def digest_of(raw: bytes) -> bytes:
    """Enough to tell a repeat from other bytes under the same number."""
    return hashlib.blake2b(raw, digest_size=8).digest()


def read(line: bytes, longest: int = LONGEST, what: str = "line") -> dict[str, Any]:
    """The object on this line, or in this body, or Refused."""
    if len(line) > longest:
        raise Refused(f"the {what} is longer than {longest} bytes")
    if b"\\u0000" in line and NUL.search(line):
        raise Refused("a text holds a NUL character")
    if _may_be_deep(line):
        _measure(line)
    try:
        found = orjson.loads(line)
        if orjson.dumps(found) != line:
            found = _read_exactly(line)
    except (ValueError, TypeError, RecursionError) as error:
        raise Refused(_short(error)) from error
    if not isinstance(found, dict):
        raise Refused("the line is no JSON object")
    return found


def events(raw: Sequence[bytes]) -> list[Event | Refused]:
    """What each line says, or why it is refused."""
    try:
        return [*_usual(raw)]
    except (ValueError, TypeError, RecursionError):
        return [_event(line) for line in raw]


def _usual(raw: Sequence[bytes]) -> list[Event]:
    """All of them at once, if nothing about any line is unusual; else an error, whichever."""
    whole = b"[%b]" % b",".join(raw)
    if b"\\u0000" in whole or any(len(line) > LONGEST or _may_be_deep(line) for line in raw):
        raise ValueError("to be looked at line by line")
    found = orjson.loads(whole)
    if [orjson.dumps(one) for one in found] != raw:
        raise ValueError("to be looked at line by line")
    return msgspec.convert(found, list[Event])


def _event(line: bytes) -> Event | Refused:
    try:
        return msgspec.convert(read(line), Event)
    except Refused as refused:
        return refused
    except msgspec.ValidationError as error:
        return Refused(_short(error))


def header(line: bytes) -> Header:
    try:
        return msgspec.convert(read(line), Header)
    except msgspec.ValidationError as error:
        raise Refused(_short(error)) from error


def _may_be_deep(line: bytes) -> bool:
    return line.count(b"[") + line.count(b"{") > DEEPEST


def _measure(line: bytes) -> None:
    """How deep and how large, told by the brackets outside of strings, before anything is built."""
    depth = nodes = 0
    for byte in STRINGS.sub(b"", line):
        if byte in b"[{":
            depth += 1
            if depth > DEEPEST:
                raise Refused(f"nested deeper than {DEEPEST}")
        elif byte in b"]}":
            depth -= 1
        elif byte in b",":
            nodes += 1
    if nodes > MOST_NODES:
        raise Refused(f"more than {MOST_NODES} values")


def _read_exactly(line: bytes) -> Any:
    """Any legal spelling, with each illegal thing named."""
    found = _exact.decode(line.decode())
    orjson.dumps(found, option=orjson.OPT_NON_STR_KEYS)  # raises at a lone surrogate
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Refused("a key stands twice in one object")
    return found


def _no_constant(word: str) -> None:
    raise Refused(f"{word} is no JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise Refused("a number is too large")
    return number


def _bounded(digits: str) -> int:
    if len(digits) > 20 or not -INT8 <= (number := int(digits)) < 2 * INT8:
        raise Refused("an integer is larger than 64 bits")
    return number


_exact = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite, parse_int=_bounded
)


def _short(error: BaseException) -> str:
    return str(error).encode("utf-8", "replace").decode().replace("\x00", "")[:300] or type(error).__name__
