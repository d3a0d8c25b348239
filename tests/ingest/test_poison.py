"""A line that cannot be stored is quarantined with its bytes; its neighbours are stored."""

from __future__ import annotations

import orjson
import psycopg
import pytest
from django.db import connection

from agents.models import Entry, Quarantine, Run
from tests.builders import Wire, action, line

pytestmark = pytest.mark.django_db

GOOD = action("good", at=1_700_000_000.0)


def with_field(name: str, value: object) -> bytes:
    return line({**GOOD, name: value})


def spliced(fragment: bytes) -> bytes:
    """A good line with one more field, written as these bytes."""
    return line(GOOD)[:-1] + b"," + fragment + b"}"


POISON = {
    "nothing": b"",
    "no json": b"hello",
    "cut off": line(GOOD)[:-5],
    "two objects": line(GOOD) + b" " + line(GOOD),
    "an array": b"[1,2,3]",
    "a number": b"17",
    "nul escaped": spliced(rb'"input":"a\u0000b"'),
    "nul in a key": spliced(rb'"a\u0000b":1'),
    "nul raw": spliced(b'"input":"a\x00b"'),
    "nul behind a backslash": spliced(rb'"input":"\\\u0000"'),
    "lone high surrogate": spliced(rb'"input":"\ud83d"'),
    "lone low surrogate": spliced(rb'"input":"\ude00"'),
    "surrogates the wrong way round": spliced(rb'"input":"\ude00\ud83d"'),
    "surrogate in a key": spliced(rb'"\ud83d":1'),
    "no utf-8": spliced(b'"input":"\xff\xfe"'),
    "overlong utf-8": spliced(b'"input":"\xc0\xaf"'),
    "surrogate as utf-8": spliced(b'"input":"\xed\xa0\x80"'),
    "NaN": spliced(b'"took_ms":NaN'),
    "Infinity": spliced(b'"took_ms":-Infinity'),
    "1e999": spliced(b'"took_ms":1e999'),
    "1e999 with spaces": spliced(b'"took_ms": 1e999'),
    "a huge integer": spliced(b'"input":' + b"9" * 5000),
    "an integer of 65 bits": spliced(b'"input":18446744073709551616'),
    "an integer of 65 bits below": spliced(b'"input":-9223372036854775809'),
    "a key twice": spliced(b'"name":"other"'),
    "a key twice with spaces": spliced(b'"name" : "other"'),
    "a key twice, escaped": spliced(rb'"n\u0061me":"other"'),
    "a key twice inside": spliced(b'"input":{"a":1,"a":2}'),
    "a key twice, with a bent number to hide it": spliced(b'"took_ms":1E5,"b":1,"b":2'),
    "65 deep": spliced(b'"input":' + b"[" * 65 + b"]" * 65),
    "bottomless": spliced(b'"input":' + b"[" * 30_000),
    "deep objects": spliced(b'"input":' + b'{"a":' * 70 + b"1" + b"}" * 70),
    "wide": spliced(b'"input":[' + b"[]," * 15_000 + b"1]"),
    "a control character": spliced(b'"input":"\x01"'),
    "a byte order mark": b"\xef\xbb\xbf" + line(GOOD),
    "too long": with_field("input", "x" * 70_000),
    "a title too long": with_field("title", "x" * 501),
    "a name too long": with_field("name", "x" * 201),
    "an outcome too long": with_field("outcome", "x" * 41),
    "a name that is a number": with_field("name", 17),
    "no name": with_field("name", ""),
    "a kind nobody knows": with_field("kind", "gossip"),
    "a kind that is a list": with_field("kind", ["action"]),
    "a verdict in a sentence": with_field("verdict", "I know it is not wrong"),
    "a time in words": with_field("at", "now"),
    "a time that is true": with_field("at", True),
    "a time before time": with_field("at", -1.0),
    "a time after time": with_field("at", 1e18),
    "an act beyond 64 bits": spliced(b'"act":9223372036854775808'),
    "no time": line({k: v for k, v in GOOD.items() if k != "at"}),
}


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON.keys())
def test_poison_is_quarantined_and_its_neighbours_flow(wire: Wire, poison: bytes) -> None:
    """One line that cannot be read costs that line alone, and its bytes are kept."""
    before, after = action("before"), action("after")
    answer = wire.post_events(before, poison, after)
    assert answer.status_code == 200
    said = answer.json()
    assert (said["ack"], said["stored"], said["quarantined"]) == (3, 2, [2])
    rows = Entry.objects.filter(run_id=wire.run).order_by("seq").values_list("seq", "name")
    assert list(rows) == [(1, "before"), (3, "after")]
    kept = Quarantine.objects.get()
    assert bytes(kept.line) == poison[: 64 * 1024]
    assert kept.reason


@pytest.mark.parametrize(
    "harmless",
    [
        spliced(rb'"input":"\\u0000"'),
        spliced(rb'"input":"\ud83d\ude00"'),
        spliced('"input":"😀 é \\u2028"'.encode()),
        spliced(b'"input" : { "a" : [ 1 , 2.50, -0.0, 1E5 ] }'),
        spliced(rb'"input":"{\"a\":1,\"a\":2}"'),
        spliced(b'"input":"' + b"[{" * 3000 + b'"'),
        spliced(b'"input":' + b"[" * 60 + b"]" * 60),
        spliced(b'"input":18446744073709551615'),
        spliced(b'"a_field_of_tomorrow":{"x":[1]}'),
        with_field("title", "‮ evil \u200b \x7f <script>"),
        b" " + line(GOOD) + b"\r",
    ],
)
def test_what_only_looks_like_poison_is_stored(wire: Wire, harmless: bytes) -> None:
    """Strictness refuses no legal text, and unknown fields are ignored."""
    answer = wire.post_events(harmless).json()
    assert (answer["stored"], answer["quarantined"]) == (1, [])
    body = Entry.objects.values_list("body", flat=True).get(run_id=wire.run)
    assert orjson.loads(body) == orjson.loads(harmless)


def test_a_repeat_of_poison_gets_the_same_answer(wire: Wire) -> None:
    """Retrying poison is safe, and other bytes in its place are a conflict."""
    wire.post_events(b"poison", GOOD)
    again = wire.post_events(b"poison", GOOD).json()
    assert (again["quarantined"], again["duplicates"], again["conflicts"]) == ([1], 1, [])
    other = wire.post_events(b"other poison", GOOD)
    assert (other.status_code, other.json()["conflicts"]) == (409, [1])
    assert Quarantine.objects.count() == 1


def test_a_batch_of_nothing_but_poison_is_acknowledged(wire: Wire) -> None:
    """What is behind it flows: the run moves on."""
    answer = wire.post_events(*[b"poison"] * 100).json()
    assert (answer["ack"], len(answer["quarantined"])) == (100, 100)
    assert Run.objects.get(pk=wire.run).acked == 100
    assert wire.post_events(GOOD, first=101).json()["stored"] == 1


def test_what_is_json_only_with_its_neighbour_is_poison(wire: Wire) -> None:
    """Each line stands for itself: halves of an event are refused, and so are two events on one line."""
    whole = with_field("input", [1, 2])
    head, tail = whole.split(b",2]")
    answer = wire.post_events(head, b"2]" + tail, line(GOOD) + b"," + line(GOOD), GOOD).json()
    assert (answer["stored"], answer["quarantined"]) == (1, [1, 2, 3])


def test_what_postgres_alone_refuses_is_found_by_halving(wire: Wire) -> None:
    """If a check of ours has a hole, the culprit is quarantined and the others are stored."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " IF NEW.name = 'culprit' THEN RAISE EXCEPTION 'no' USING ERRCODE = '22P05'; END IF; RETURN NEW;"
            " END $$; CREATE TRIGGER refuse BEFORE INSERT ON agents_entry"
            " FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    events = [action("good") for _ in range(50)]
    events[17] = events[33] = action("culprit")
    answer = wire.post_events(*events).json()
    assert (answer["stored"], answer["quarantined"]) == (48, [18, 34])
    assert issubclass(psycopg.errors.UntranslatableCharacter, psycopg.DataError)
