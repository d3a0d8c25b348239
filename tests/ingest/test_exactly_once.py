"""A run's events: each stored once, in its place, whatever is repeated, lost or late."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from agents.models import Entry, Run
from tests.builders import Wire, action

pytestmark = pytest.mark.django_db


def stored(wire: Wire) -> list[int | None]:
    return list(Entry.objects.filter(run_id=wire.run).order_by("seq").values_list("seq", flat=True))


def named(*names: str) -> list[dict[str, Any]]:
    return [action(name, at=1_700_000_000.0 + i) for i, name in enumerate(names)]


def test_events_are_stored_in_their_place(wire: Wire) -> None:
    """An event's id is its run and its place in it."""
    answer = wire.post_events(*named("a", "b", "c")).json()
    assert (answer["ack"], answer["stored"], answer["duplicates"]) == (3, 3, 0)
    ids = Entry.objects.filter(run_id=wire.run).order_by("seq").values_list("id", "name", "late")
    assert list(ids) == [(f"{wire.run}-{i}", name, False) for i, name in enumerate("abc", 1)]


def test_a_repeat_is_acknowledged_and_stored_once(wire: Wire) -> None:
    """The same bytes again get the same acknowledgement, and no second row."""
    events = named("a", "b")
    wire.post_events(*events)
    answer = wire.post_events(*events)
    assert answer.status_code == 200
    assert (answer.json()["ack"], answer.json()["stored"], answer.json()["duplicates"]) == (2, 0, 2)
    assert stored(wire) == [1, 2]


def test_an_overlap_stores_only_what_is_new(wire: Wire) -> None:
    """A batch that begins in what is known adds its end."""
    a, b, c = named("a", "b", "c")
    wire.post_events(a, b)
    answer = wire.post_events(b, c, first=2).json()
    assert (answer["ack"], answer["stored"], answer["duplicates"]) == (3, 1, 1)
    assert stored(wire) == [1, 2, 3]


def test_same_place_other_body_is_a_conflict_and_its_neighbours_are_stored(wire: Wire) -> None:
    """What was acknowledged is never overwritten; the sender is told which line differs."""
    a, b, c = named("a", "b", "c")
    wire.post_events(a, b)
    answer = wire.post_events(a, {**b, "name": "other"}, c)
    assert answer.status_code == 409
    assert answer.json()["conflicts"] == [2]
    assert answer.json()["ack"] == 3
    names = Entry.objects.filter(run_id=wire.run).order_by("seq").values_list("name", flat=True)
    assert list(names) == ["a", "b", "c"]


def test_a_gap_stays_open_until_it_is_filled(wire: Wire) -> None:
    """A late event is no repeat: it is stored, marked late, and acknowledged truly."""
    a, b, c, d = named("a", "b", "c", "d")
    wire.post_events(a)
    assert wire.post_events(d, first=4).json()["stored"] == 1
    assert Run.objects.get(pk=wire.run).gaps == [[2, 3]]
    answer = wire.post_events(b, c, first=2).json()
    assert (answer["stored"], answer["duplicates"]) == (2, 0)
    rows = Entry.objects.filter(run_id=wire.run).order_by("seq").values_list("seq", "late")
    assert list(rows) == [(1, False), (2, True), (3, True), (4, False)]
    assert Run.objects.get(pk=wire.run).gaps == []


def test_a_batch_without_events_brings_the_state_alone(wire: Wire) -> None:
    """The acknowledgement of nothing is the place before it."""
    answer = wire.post_events(first=1, state={"status": "running", "doing": "thinking"}).json()
    assert (answer["ack"], answer["stored"]) == (0, 0)
    assert Run.objects.get(pk=wire.run).instance.doing == "thinking"


@pytest.mark.parametrize("hours", [-24, 24])
def test_the_agents_clock_decides_nothing(wire: Wire, hours: int) -> None:
    """A clock that is a day wrong is corrected; no event is later than its arrival."""
    wire.clock = hours * 3600.0
    wire.post_events(action(at=wire.now() - 60), action(at=wire.now()))
    first, second = Entry.objects.filter(run_id=wire.run).order_by("seq")
    assert abs(first.at.timestamp() - (time.time() - 60)) < 5
    assert first.at < second.at <= second.received_at


def test_order_within_a_run_is_kept_when_its_clock_jumps_back(wire: Wire) -> None:
    """Events of a batch stand in the timeline as they were recorded."""
    now = time.time()
    wire.post_events(action("a", at=now), action("b", at=now - 3600), action("c", at=now - 1800))
    names = Entry.objects.filter(run_id=wire.run).order_by("at").values_list("name", flat=True)
    assert list(names) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "text", ["\t", "\n", "\r\n", "\\", "\\N", "\\.", "\\x41", "a\tb\nc\\d\\\\", "'\";--", "é😀‮"]
)
def test_text_is_stored_as_it_was_sent(wire: Wire, text: str) -> None:
    """No text ends a field, a row or a statement."""
    sent = action(text, title=text, outcome=text, pause=text, input={"a": text})
    spaced = json.dumps(sent, separators=("\t,", ":\r"), ensure_ascii=False).encode()
    assert wire.post_events(sent, spaced).json()["stored"] == 2
    rows = Entry.objects.filter(run_id=wire.run).order_by("seq")
    for entry in rows:
        assert (entry.name, entry.title, entry.outcome, entry.ref) == (text, text, text, text)
        assert json.loads(entry.body)["input"] == {"a": text}
    assert rows[1].body == spaced.decode()
