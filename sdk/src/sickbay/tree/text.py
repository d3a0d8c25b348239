"""Canonical JSON text: the one spelling of a value, the same from every process, machine and library version.

    spell(value)   the spelling, in pure Python: this is the specification, and what tests compare with
    dump(value)    the same bytes by one call of orjson, which no other thread can tear
    load(text)     the value again; refuses what JSON readers disagree about
    split_list, split_object    the texts of the items, without reading what is inside; given canonical text

UTF-8 without white space; keys in the order given, none twice; lists and dicts at most 200 deep. Strings
escape only `"`, `\\` and U+0000 to 1F (b t n f r short, else \\u00xx in lower case). A surrogate pair held as
two code units is joined, a lone surrogate is written \\udxxx. Ints have at most 4,300 digits. Floats have the
fewest digits that read back the same: 0.00001 to 9999999999999998.0 in full, others as 1e-6 and 1.5e+16.

orjson writes floats otherwise before 3.11.7, and whatever it will do next: it is used only while it spells a
list of telling values as `spell` does. In silence it writes tuples as lists, NaN as null, UUIDs and enums as
their values: `faults_in` finds those, so walk what changed. A lone surrogate, or an int beyond 64 bits,
sends the whole value to the pure encoder: right, and some 20 times slower.
"""

from __future__ import annotations

import json
import marshal
import math
import re
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from itertools import accumulate, pairwise, repeat
from json.encoder import encode_basestring
from typing import Any

import msgspec
import orjson

from sickbay.tree.faults import DEPTH, DIGITS, joined
from sickbay.tree.faults import Unspeakable as Unspeakable
from sickbay.tree.faults import faults_in as faults_in

_SAFE_BITS, _SAFE_DIGITS = 2048, 600


class BadText(ValueError):
    """This is no JSON text that every reader understands alike."""


def dump(value: Any) -> bytes:
    """The canonical text, fast. Does not look for what orjson changes in silence: see `faults_in`."""
    wraps = _wraps()
    if wraps is not None:
        try:
            return _by_orjson(value, wraps)
        except TypeError:
            pass
    return spell(_held_still(value))


def spell(value: Any) -> bytes:
    """The canonical text, by the book; Unspeakable names what JSON cannot carry."""
    for fault in faults_in(value):
        raise fault
    text = "".join(_pieces(value))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return joined(text).encode("utf-8", "backslashreplace")


def load(text: bytes) -> Any:
    """The value of a JSON text, exactly; BadText when readers could disagree about it."""
    return _value_of(text)[0]


def is_canonical(text: bytes) -> bool:
    """Whether the text is the one spelling of its value."""
    try:
        value, proven = _value_of(text)
        return proven or spell(value) == text
    except ValueError:
        return False


def split_list(text: bytes) -> list[bytes]:
    """The texts of the items of a canonical list."""
    items = _raw_list(text)
    return _scanned(text, b"[]") if items is None else items


def split_object(text: bytes) -> list[tuple[bytes, bytes]]:
    """The texts of the keys, quotes included, and of the values of a canonical object."""
    pairs = _raw_object(text)
    return [_key_and_value(member) for member in _scanned(text, b"{}")] if pairs is None else pairs


# ------------------------------------------------------------------ by orjson

_OPTIONS = orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATACLASS
_OPTIONS |= orjson.OPT_PASSTHROUGH_DATETIME
_TELLING: list[Any] = [
    [0.0, -0.0, 1.0, -1.0, 0.1, 0.2, 0.30000000000000004, 1 / 3, 2 / 3, 1.5, 100.0, 123456.789, 1e5],
    [0.001, 1e-4, 0.00012345, 1e-5, -1e-5, 1.25e-5, 9.999999999999999e-5, 9.999999999999999e-6, 1e-6, 1e-7],
    [1.5e-7, 1e-9, 1e-10, 1.2345e-15, 1e-99, 1e-100, 1e-300, 5e-324, 2.225073858507201e-308],
    [2.2250738585072014e-308, 1e14, 1e15, 123456789012345.6, 4503599627370496.5, 9007199254740993.0],
    [9999999999999998.0, 1e16, -1e16, 1.2345678901234568e17, 1e17, 1e21, 1e22, 1e23, 2.0**63, 2.0**64],
    [6.02214076e23, 1e99, 1e100, 1.5e300, 1.7976931348623157e308, -1.7976931348623157e308],
    [0, -1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, True, False, None],
    [
        "",
        '"\\/',
        "".join(map(chr, range(0x20))),
        "\x7f\x80\x9f\xa0\xad\xff",
        "\u2028\u2029\ufeff\ufffe\uffff",
    ],
    ["\ud7ff\ue000\ufffd", "\U00010000\U0010ffff", "e\u0301\u00e9", "<&>'", "x" * 70 + "\n" + "\u00e9" * 70],
    [[], {}, [[]], {"": {}}, {"b": 1, "a": [None, {"\n\u00e9": "\t"}]}],
]


@cache
def _wraps() -> int | None:
    """How many lists around a value leave it our depth of orjson's own; None when orjson spells otherwise."""
    try:
        if orjson.dumps(_TELLING, option=_OPTIONS) != spell(_TELLING):
            return None
        return next((wraps for wraps in range(DEPTH) if not _goes(wraps + DEPTH + 1)), None)
    except TypeError:
        return None


def _goes(depth: int) -> bool:
    try:
        orjson.dumps(_wrapped([], depth - 1))
    except TypeError:
        return False
    return True


def _wrapped(value: Any, times: int) -> Any:
    for _ in range(times):
        value = [value]
    return value


def _by_orjson(value: Any, wraps: int) -> bytes:
    text = orjson.dumps(_wrapped(value, wraps), option=_OPTIONS)
    return text[wraps : len(text) - wraps]


def _held_still(value: Any) -> Any:
    """A copy made in one C call: the pure encoder takes long, and other threads go on writing meanwhile."""
    try:
        return marshal.loads(marshal.dumps(value))
    except ValueError:
        return value


# -------------------------------------------------------------- by the book


def _pieces(value: Any) -> list[str]:
    """The text of a plain value in pieces, without recursion: the caller's stack may be nearly full."""
    out: list[str] = []
    boxes: list[tuple[Iterator[tuple[str, Any]], str]] = [(iter([("", value)]), "")]
    while boxes:
        members, end = boxes[-1]
        for key, item in members:
            kind = type(item)
            if kind is list:
                out += (key, "[")
                boxes.append((zip(repeat(""), item, strict=False), "]"))
                break
            if kind is dict:
                out += (key, "{")
                boxes.append((_members(item), "}"))
                break
            out += (key, _scalar(item), ",")
        else:
            boxes.pop()
            if out[-1] == ",":
                out.pop()
            out += (end, ",")
    out.pop()
    return out


def _members(box: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((f"{encode_basestring(key)}:", item) for key, item in box.items())


def _scalar(value: Any) -> str:
    kind = type(value)
    if kind is str:
        return encode_basestring(value)
    if kind is int:
        return str(value if value.bit_length() < _SAFE_BITS else Decimal(value))
    return _float(value) if kind is float else _WORDS[value]


_WORDS = {None: "null", True: "true", False: "false"}


def _float(value: float) -> str:
    """Python has the digits right; it turns to exponents one power of ten early, and pads them."""
    mantissa, e, exponent = repr(value).partition("e")
    if not e:
        return mantissa
    if int(exponent) == -5:
        return f"{'-' * (value < 0)}0.0000{mantissa.lstrip('-').replace('.', '')}"
    return f"{mantissa}e{int(exponent):+d}"


# ----------------------------------------------------------------- reading


def _value_of(text: bytes) -> tuple[Any, bool]:
    """The value, and whether the text is proven canonical.

    msgspec drops doubled keys and turns -0 to 0; a value that is spelled as the text again lost nothing.
    """
    try:
        value = msgspec.json.decode(text)
        if dump(value) == text:
            return value, True
    except (ValueError, RecursionError):
        pass
    return _read(text), False


def _read(text: bytes) -> Any:
    if _depth(text) > DEPTH:
        raise BadText(f"this JSON is nested more than {DEPTH} deep")
    try:
        return _READER.decode(text.decode())
    except BadText:
        raise
    except UnicodeDecodeError as error:
        raise BadText(f"byte {error.start} is no UTF-8") from None
    except ValueError as error:
        raise BadText(f"this is no JSON: {error}") from None
    except RecursionError:
        raise BadText("the stack of this program is too full to read nested JSON") from None


def _depth(text: bytes) -> int:
    brackets = _STRING.sub(b"", text).translate(_STEPS, _NO_BRACKETS)
    return max(accumulate(step - 1 for step in brackets), default=0)


_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.S)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = bytes.maketrans(b"[]{}", b"\2\0\2\0")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    box: dict[str, Any] = {}
    for key, item in pairs:
        if key in box:
            raise BadText(f"the key {key!r:.60} is there twice in one object")
        box[key] = item
    return box


def _no_constant(word: str) -> Any:
    raise BadText(f"{word} is no JSON")


def _read_float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise BadText(f"{text:.40} is beyond what a float holds")
    return value


def _read_int(text: str) -> int:
    if len(text.lstrip("-")) > DIGITS:
        raise BadText(f"an int has more than {DIGITS} digits")
    return int(text if len(text) < _SAFE_DIGITS else Decimal(text))


_READER = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_read_float, parse_int=_read_int
)


# ---------------------------------------------------------------- splitting

_LISTS = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECTS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _raw_list(text: bytes) -> list[bytes] | None:
    """The items, unless msgspec cannot read them."""
    raws = _raw(_LISTS, text)
    return None if raws is None else _cut(text, [len(memoryview(raw)) for raw in raws])


def _raw_object(text: bytes) -> list[tuple[bytes, bytes]] | None:
    """The members, unless msgspec cannot read them or takes two keys for the same."""
    box = _raw(_OBJECTS, text)
    if box is None:
        return None
    sizes = [(len(_key_text(key)), len(memoryview(raw))) for key, raw in box.items()]
    parts = _cut(text, [size for pair in sizes for size in pair])
    return None if parts is None else list(zip(parts[::2], parts[1::2], strict=True))


def _raw(decoder: msgspec.json.Decoder[Any], text: bytes) -> Any:
    """As msgspec reads it; lone surrogates, which it refuses, as control characters of the same length."""
    try:
        return decoder.decode(text)
    except (ValueError, RecursionError):
        pass
    try:
        return decoder.decode(_SURROGATE.sub(rb"\\u001\1", text))
    except (ValueError, RecursionError):
        return None


_SURROGATE = re.compile(rb"\\ud[89a-f][0-9a-f]([0-9a-f])")


def _key_text(key: str) -> bytes:
    return encode_basestring(key).encode("utf-8", "backslashreplace")


def _cut(text: bytes, lengths: list[int]) -> list[bytes] | None:
    """Parts of these lengths with one byte around and between them; None when that is not the whole text."""
    ends = list(accumulate((length + 1 for length in lengths), initial=0))
    if (ends[-1] or 1) + 1 != len(text):
        return None
    return [text[start + 1 : end] for start, end in pairwise(ends)]


def _scanned(text: bytes, brackets: bytes) -> list[bytes]:
    """The items between the outermost brackets by looking for commas: slow, and reads everything."""
    cuts, depth = [0], 0
    for found in _MARKS.finditer(text):
        mark = found[0]
        if mark in b"[{":
            depth += 1
        elif mark in b"]}":
            depth -= 1
            if depth < 1 and found.end() < len(text):
                depth = -1
                break
        elif mark == b"," and depth == 1:
            cuts.append(found.start())
    cuts.append(len(text) - 1)
    items = [text[start + 1 : end] for start, end in pairwise(cuts)]
    if depth or b"%b%b%b" % (brackets[:1], b",".join(items), brackets[1:]) != text:
        raise BadText(f"this is not the canonical text of a list or an object in {brackets.decode()}")
    return [] if items == [b""] else items


_MARKS = re.compile(_STRING.pattern + rb"|[\[\]{},]", re.S)


def _key_and_value(member: bytes) -> tuple[bytes, bytes]:
    key = _STRING.match(member)
    if key is None or member[key.end() : key.end() + 1] != b":":
        raise BadText("this is not the canonical text of an object: a key is missing")
    return key[0], member[key.end() + 1 :]
