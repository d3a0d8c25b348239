"""The timeline's pages by key: complete, steady, and bounded in what they read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.models import Agent, Entry, Kind, Project
from agents.queries import timeline
from agents.queries.timeline import Chosen, Key
from tests.pages.rows import NOON, entry, make_agent, stored, stream

ALL = Chosen()


@pytest.fixture
def agent(project: Project) -> Agent:
    return make_agent(project)


def walk(
    agent: Agent, chosen: Chosen = ALL, size: int = 10, between: Callable[[], object] = lambda: None
) -> list[str]:
    """Every id from the newest page down, as a reader meets them."""
    page = timeline.newest(agent.pk, chosen, size=size)
    seen = [e.id for e in page.entries]
    while page.older:
        between()
        page = timeline.older(agent.pk, chosen, page.older, size=size)
        seen += [e.id for e in page.entries]
    return seen


def in_order(agent: Agent) -> list[Entry]:
    return sorted(Entry.objects.filter(agent_id=agent.pk), key=timeline._place, reverse=True)


def test_every_entry_is_met_once(agent: Agent) -> None:
    """Walking down by pages meets every entry once, newest first."""
    stream(agent, 137)
    assert walk(agent) == [e.id for e in in_order(agent)]


def test_new_entries_move_nothing(agent: Agent) -> None:
    """Entries that arrive while a reader walks shift no page and repeat none."""
    stream(agent, 60)
    before = [e.id for e in in_order(agent)]
    assert walk(agent, between=lambda: stored(agent, at=NOON + timedelta(seconds=1), run=uuid4())) == before


def test_late_entries_below_are_met(agent: Agent) -> None:
    """An entry that arrives late, below where the reader stands, is met on the way."""
    stream(agent, 30)
    late = stored(agent, at=NOON - timedelta(days=400), late=True)
    assert walk(agent)[-1] == late.id


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moments=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2)), max_size=40),
    size=st.integers(1, 7),
)
def test_any_moments_are_met_once(agent: Agent, moments: list[tuple[int, int]], size: int) -> None:
    """However many entries share a moment, and whatever the page, each is met once, up as down."""
    Entry.objects.filter(agent_id=agent.pk).delete()
    runs = [uuid4(), uuid4(), uuid4()]
    Entry.objects.bulk_create(
        entry(
            agent,
            run=runs[r],
            seq=n + 1,
            at=NOON + timedelta(seconds=s),
            kind=(Kind.ACTION, Kind.FAILURE)[n % 2],
        )
        for n, (s, r) in enumerate(moments)
    )
    expected = sorted(e.id for e in in_order(agent))
    down = walk(agent, size=size)
    assert sorted(down) == expected
    page, up = timeline.older(agent.pk, ALL, Key(NOON + timedelta(seconds=0), "0"), size=size), set[str]()
    while page.newer:
        page = timeline.newer(agent.pk, ALL, page.newer, size=size)
        up |= {e.id for e in page.entries}
    assert up == set(expected)


def test_an_action_and_its_failure_share_a_page(agent: Agent) -> None:
    """No page ends between an action and the failure it ended with."""
    stream(agent, 200)
    page, pages = timeline.newest(agent.pk, ALL, size=7), 0
    while page.older:
        failures = {(e.run_id, e.seq - 1) for e in page.entries if e.kind == Kind.FAILURE and e.seq}
        assert failures <= {(e.run_id, e.seq) for e in page.entries if e.kind == Kind.ACTION}
        page, pages = timeline.older(agent.pk, ALL, page.older, size=7), pages + 1
    assert pages > 20


def test_numbers_of_a_run_keep_their_order(agent: Agent) -> None:
    """In one moment of a run entry 10 stands above entry 9, though as text it would not."""
    run = uuid4()
    for seq in (9, 10, 11):
        stored(agent, run=run, seq=seq)
    assert [e.seq for e in timeline.newest(agent.pk, ALL).entries] == [11, 10, 9]


def test_newer_is_the_way_back(agent: Agent) -> None:
    """From the third page the way up leads over the second to the first."""
    stream(agent, 50)
    first = timeline.newest(agent.pk, ALL, size=10)
    second = timeline.older(agent.pk, ALL, first.older or pytest.fail(), size=10)
    third = timeline.older(agent.pk, ALL, second.older or pytest.fail(), size=10)
    back = timeline.newer(agent.pk, ALL, third.newer or pytest.fail(), size=10)
    assert [e.id for e in back.entries] == [e.id for e in second.entries]
    top = timeline.newer(agent.pk, ALL, back.newer or pytest.fail(), size=10)
    assert [e.id for e in top.entries] == [e.id for e in first.entries]


def test_a_held_page_stays_and_counts(agent: Agent) -> None:
    """A page held at its first entry shows the same rows after three more came, and counts the three."""
    stream(agent, 20)
    page = timeline.newest(agent.pk, ALL)
    top = timeline.key_of(page.entries[0])
    for n in range(3):
        stored(agent, at=NOON + timedelta(seconds=n))
    held = timeline.newest(agent.pk, ALL, upto=top)
    assert [e.id for e in held.entries] == [e.id for e in page.entries]
    assert timeline.count_newer(agent.pk, ALL, top) == 3


@pytest.mark.parametrize(
    ("chosen", "n"),
    [
        (Chosen(kind="failure"), 4), (Chosen(kind="action"), 40), (Chosen(name="issue_refund"), 44),
        (Chosen(name="other"), 0), (Chosen(outcome="pass"), 36), (Chosen(outcome="verification"), 4),
        (Chosen(text="40.00, EXPECTED"), 4), (Chosen(text="100%_"), 0), (Chosen(run=uuid4()), 0),
        (Chosen(since=NOON - timedelta(seconds=70)), 11), (Chosen(until=NOON - timedelta(seconds=70)), 33),
    ],
)  # fmt: skip
def test_filters(agent: Agent, chosen: Chosen, n: int) -> None:
    """Each filter finds what it names and nothing else, over all pages."""
    stream(agent, 40)
    found = walk(agent, chosen)
    assert len(found) == len(set(found)) == n


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("order 4711", 2), ("4711", 2), ('"order 4711"', 1), ("ORDER grüße", 1), ('"say "hi""', 0),
        ('say \\"hi\\"', 0), ('"hi"', 1), ("4711 nowhere", 0), ("z\nb", 0), ("%", 0), ("_____", 0), ("\\", 1),
    ],
)  # fmt: skip
def test_words_are_found_in_inputs_and_outputs(agent: Agent, text: str, n: int) -> None:
    """All words, in whatever order; words between quotes as they stand; nothing is a pattern."""
    stored(agent, title="Refund", body={"input": {"order": {"id": 4711}}, "output": "paid"})
    stored(agent, title="Mail", body='{"output":"about order 4711: Grüße, say \\"hi\\" c:\\\\d"}', seq=2)
    assert len(walk(agent, Chosen(text=text))) == n


def test_a_rare_thing_is_looked_for_in_stretches(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search reads a bounded stretch, says how far back it went, and goes on to find everything."""
    stream(agent, 100)
    monkeypatch.setattr(timeline, "STRETCH", 30)
    old = stored(agent, at=NOON - timedelta(days=1), name="needle")
    first = timeline.newest(agent.pk, Chosen(name="needle"))
    assert first.entries == [] and first.older and first.searched_to == first.older.at
    assert walk(agent, Chosen(name="needle")) == [old.id]


def test_other_agents_entries_stay_theirs(agent: Agent, project: Project) -> None:
    """An agent's timeline never shows another's entries, not even by their exact key."""
    theirs = stored(make_agent(project, "other"))
    assert walk(agent) == []
    assert timeline.find(agent.pk, theirs.id) is None


def test_counts_stop_counting(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kinds are counted in the chosen times, and no further than the page needs."""
    stream(agent, 40)
    assert timeline.counts(agent.pk, ALL) == {"action": 40, "failure": 4}
    assert timeline.counts(agent.pk, Chosen(since=NOON - timedelta(seconds=70))) == {
        "action": 10,
        "failure": 1,
    }
    monkeypatch.setattr(timeline, "COUNTED", 10)
    assert timeline.counts(agent.pk, ALL)["action"] == 11


@pytest.mark.parametrize(
    "text", ["", "x", "1_", "_a", "9" * 30 + "_a", "1_a b", "-1_a", "1_" + "a" * 61, "\uff11_a"]
)
def test_strange_keys_are_none(text: str) -> None:
    """Whatever is no key reads as none; it never raises."""
    assert timeline.key(text) is None


def test_keys_come_back() -> None:
    """A key that was written is read back to the microsecond."""
    wanted = Key(NOON + timedelta(microseconds=123457), "ab-12")
    assert timeline.key(str(wanted)) == wanted


def test_a_page_is_few_queries(agent: Agent) -> None:
    """A page costs one query, or two where it has to search."""
    stream(agent, 200)
    with CaptureQueriesContext(connection) as plain:
        timeline.newest(agent.pk, ALL)
    with CaptureQueriesContext(connection) as searching:
        timeline.newest(agent.pk, Chosen(text="refund"))
    assert (len(plain), len(searching)) == (1, 2)
