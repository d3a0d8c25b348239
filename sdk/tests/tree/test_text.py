"""One spelling of a value, whoever writes it; nothing read that readers could disagree about."""

from __future__ import annotations

import ast
import json
import random
import struct
import threading
import uuid
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sickbay.tree import faults, text
from sickbay.tree.text import BadText, Unspeakable, dump, is_canonical, load, spell, split_list, split_object

VECTORS = json.loads((Path(text.__file__).parent / "vectors" / "text.json").read_text())
STRINGS = st.text(st.characters(exclude_categories=()), max_size=12) | st.text(
    st.sampled_from('\ud83d\ude00\ud800\\"u/d8\x00\x1f\x7f\n'), max_size=8
)
NUMBERS = st.integers() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | STRINGS


def _boxes(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=6) | st.dictionaries(STRINGS, inner, max_size=6)


VALUES = st.recursive(SCALARS, _boxes, max_leaves=25)


def nested(depth: int, inner: Any = 0) -> Any:
    for place in range(depth):
        inner = [inner] if place % 2 else {"a": inner}
    return inner


def spoken(value: Any, speak: Any = spell) -> bytes | None:
    try:
        return bytes(speak(value))
    except Unspeakable:
        return None


@pytest.mark.parametrize("vector", VECTORS["spoken"], ids=lambda vector: ascii(vector["text"])[:40])
def test_a_value_has_the_spelling_of_the_specification(vector: dict[str, str]) -> None:
    """Every value of the vectors is spelled as they say, both ways, and is read back the same."""
    value, wanted = ast.literal_eval(vector["value"]), vector["text"].encode()
    assert spell(value) == dump(value) == wanted
    assert spell(load(wanted)) == wanted
    assert is_canonical(wanted)


@pytest.mark.parametrize("given_text", VECTORS["not_canonical"])
def test_another_spelling_is_read_and_not_taken_for_canonical(given_text: str) -> None:
    """JSON that says the same otherwise is read, and is not canonical."""
    assert load(given_text.encode()) == json.loads(given_text)
    assert not is_canonical(given_text.encode())


@pytest.mark.parametrize("given_text", VECTORS["refused"], ids=lambda bad: ascii(bad)[:40])
def test_what_readers_disagree_about_is_refused(given_text: str) -> None:
    """Doubled keys, NaN, numbers beyond a float and broken JSON are refused with a sentence."""
    with pytest.raises(BadText) as refusal:
        load(given_text.encode())
    assert str(refusal.value)
    assert not is_canonical(given_text.encode())


@given(VALUES)
def test_the_fast_encoder_spells_as_the_specification(value: Any) -> None:
    """orjson and the pure encoder write the same bytes, or both refuse."""
    assert spoken(value, dump) == spoken(value)


@given(VALUES)
def test_a_spelling_is_read_back_and_spelled_the_same(value: Any) -> None:
    """Text to value to text changes no byte, and what is not changed by joining pairs comes back equal."""
    written = spoken(value)
    if written is not None:
        back = load(written)
        assert spell(back) == written
        assert is_canonical(written)
        assert back == json.loads(json.dumps(value))


@given(VALUES)
def test_the_items_together_are_the_text(value: Any) -> None:
    """A list and an object are split at their own commas, whatever is inside."""
    written = spoken([value, value, {"k": value}])
    if written is None:
        return
    assert split_list(written) == [spell(value), spell(value), spell({"k": value})]
    for box in (value, {"x": value, chr(0xD800): 1, chr(0xD810): value}):
        if isinstance(box, dict):
            assert split_object(spell(box)) == [(spell(key), spell(item)) for key, item in box.items()]


def test_random_doubles_are_spelled_alike() -> None:
    """On 20,000 doubles of random bits both encoders agree, and reading gives the same bits."""
    rng = random.Random(20261122)
    doubles = struct.unpack("<20000d", rng.randbytes(160_000))
    finite = [value for value in doubles if value - value == 0]
    assert dump(finite) == spell(finite)
    assert struct.pack(f"<{len(finite)}d", *load(dump(finite))) == struct.pack(f"<{len(finite)}d", *finite)


def test_this_orjson_is_used() -> None:
    """The orjson that the project is locked to spells as we do: the fast way is not lost unseen."""
    assert text._wraps() is not None


def test_an_orjson_that_spells_otherwise_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """With floats as orjson before 3.11.7 wrote them, the pure encoder takes over."""
    real = orjson.dumps
    monkeypatch.setattr(orjson, "dumps", lambda *args, **also: real(*args, **also).replace(b"e+", b"e"))
    text._wraps.cache_clear()
    try:
        assert dump([1e16, "x"]) == b'[1e+16,"x"]'
        assert text._wraps() is None
    finally:
        text._wraps.cache_clear()


@pytest.mark.parametrize("inner", [0, [], {}, "\ud800", 2**64])
def test_two_hundred_deep_and_no_deeper(inner: Any) -> None:
    """The limit of depth is one for both encoders, for the walk and for the reader."""
    most = 200 - isinstance(inner, list | dict)
    deepest = spell(nested(most, inner))
    assert dump(nested(most, inner)) == deepest
    assert spell(load(deepest)) == deepest
    for speak in (spell, dump):
        with pytest.raises(Unspeakable, match="nested more than 200 deep"):
            speak(nested(most + 1, inner))
    with pytest.raises(BadText, match="nested more than 200 deep"):
        load(b"[" + deepest + b"]")


def test_depth_is_counted_from_the_root() -> None:
    """An item that is checked alone counts the containers around it."""
    assert not list(faults.faults_in(nested(150), "memory['a']", 50))
    assert [fault.path[:11] for fault in faults.faults_in(nested(150), "memory['a']", 51)] == ["memory['a']"]


@pytest.mark.parametrize("unit", [b"[", b'{"a":', b'\\"', b"[]", b'"'])
def test_hostile_text_is_refused_in_linear_time(unit: bytes) -> None:
    """Much of brackets or quotes alone is neither a RecursionError nor a minute."""
    hostile = b'"' * (unit == b'\\"') + unit * 200_001
    with pytest.raises(BadText):
        load(hostile)
    with pytest.raises(BadText):
        split_list(hostile)


def test_a_nearly_full_stack_spells_the_same() -> None:
    """However deep the caller is in calls, the spelling is the same, and reading is no RecursionError."""
    value = nested(199, "\ud800")
    wanted = spell(value)

    def at(depth: int) -> tuple[bytes, Any]:
        if depth:
            return at(depth - 1)
        try:
            return spell(value), spell(load(wanted))
        except BadText as error:
            return spell(value), str(error)

    assert at(10) == (wanted, wanted)
    written, read = at(800)
    assert written == wanted
    assert read == wanted or "stack of this program is too full" in read


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"a": [0, (1,)]}, r"memory\['a'\]\[1\] is a tuple: JSON would bring back a list"),
        ({"a": {1, 2}}, r"memory\['a'\] is a set: .*sorted"),
        ({"a": {1: 2}}, r"memory\['a'\]\[1\] has an int as its key: .*write str\(key\)"),
        ({"a": [1.5, float("nan")]}, r"memory\['a'\]\[1\] is nan: .*write None or a string"),
        ([-float("inf")], r"memory\[0\] is -inf"),
        ({"a": b"x"}, r"memory\['a'\] is a bytes: .*base64"),
        (uuid.UUID(int=1), r"memory is a UUID: write str"),
        ([10**4300], r"memory\[0\] is an int of more than 4300 digits"),
        ({"\ud83d\ude00": 1, "😀": 2}, r"memory\['😀'\] is there twice once surrogate pairs are joined"),
        ({type("Key", (str,), {})("a"): 1}, "has a Key as its key"),
        (orjson.Fragment(b"[ 1]"), "is a Fragment: keep plain dicts"),
    ],
)
def test_what_json_would_change_is_named_by_its_path(value: Any, sentence: str) -> None:
    """What would come back otherwise than it went is refused, with what to write instead."""
    with pytest.raises(Unspeakable, match=sentence):
        spell(value)
    assert isinstance(next(faults.faults_in(value)), Unspeakable)


@given(VALUES)
def test_the_quick_look_agrees_with_the_walk(value: Any) -> None:
    """Where the quick look sees no fault, the thorough walk finds none."""
    if faults._is_plain(value, 0):
        assert not list(faults._walk(value, "memory", 0))


def test_a_list_that_holds_itself_is_told() -> None:
    """A cycle ends at the limit of depth."""
    cycle: list[Any] = []
    cycle += [cycle, cycle]
    for speak in (spell, dump):
        with pytest.raises(Unspeakable, match="nested more than 200 deep"):
            speak(cycle)


def test_long_ints_are_exact_whatever_python_allows() -> None:
    """4,300 digits go and come back, also when the host lowered Python's own limit."""
    import sys

    number = -(10**4299) - 7
    allowed = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        assert load(dump([number])) == [number]
    finally:
        sys.set_int_max_str_digits(allowed)
    with pytest.raises(BadText, match="more than 4300 digits"):
        load(b"[" + b"9" * 4301 + b"]")


def test_the_slow_way_is_not_torn_by_another_thread() -> None:
    """A value that needs the pure encoder is copied in one call first, so what is written is one moment."""
    value: dict[str, Any] = {"\ud800": 0, "left": [0] * 500, "right": [0] * 500}
    done = threading.Event()

    def write() -> None:
        count = 0
        while not done.is_set():
            count += 1
            value.update(left=[count] * 500, right=[count] * 500)
            value[f"k{count % 50}"] = count

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(200):
            seen = load(dump(value))
            assert len(seen["left"]) == len(seen["right"]) == 500
            assert len(set(seen["left"])) == len(set(seen["right"])) == 1
            assert abs(seen["left"][0] - seen["right"][0]) <= 1
    finally:
        done.set()
        writer.join()


@pytest.mark.parametrize("bad", [b"", b"[", b"]", b"[1]]", b'{"a":1}', b"[[1]", b"null"])
def test_only_the_text_of_a_list_is_split_as_one(bad: bytes) -> None:
    """What is no canonical list is refused by the splitter."""
    with pytest.raises(BadText):
        split_list(bad)


@pytest.mark.parametrize("bad", [b"", b"{", b"[1]", b"{1:2}", b'{"a"}', b'{"a":1,}', b'{"\\u0061":1}}'])
def test_only_the_text_of_an_object_is_split_as_one(bad: bytes) -> None:
    """What is no canonical object is refused by the splitter."""
    with pytest.raises(BadText):
        split_object(bad)
