"""Whose turn it is, by wall clocks that jump twice a year."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import rota
from agents.rota import Rota, Stand

BERLIN = ZoneInfo("Europe/Berlin")
ALICE, BOB, CAROL = 1, 2, 3
MONDAY = dt.date(2026, 3, 2)


def berlin(text: str, fold: int = 0) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).astimezone(dt.UTC)


def weekly(**fields: object) -> Rota:
    known: dict[str, object] = {"zone": BERLIN, "starts_on": MONDAY, "hand_over": dt.time(9), "every_days": 7}
    return Rota(people=[ALICE, BOB, CAROL], **{**known, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("at", "person"),
    [
        ("2026-03-02T08:59:59", None),
        ("2026-03-02T09:00:00", ALICE),
        ("2026-03-09T08:59:59", ALICE),
        ("2026-03-09T09:00:00", BOB),
        ("2026-03-23T09:00:00", ALICE),
    ],
)
def test_turns_are_handed_over_at_the_local_time(at: str, person: int | None) -> None:
    """A turn begins at the hand-over of its day, and nobody is on duty before the first."""
    assert rota.on_duty(weekly(), berlin(at)) == person


def test_a_hand_over_stays_at_nine_when_the_clocks_change() -> None:
    """The turn after the last Sunday of March begins at nine in the morning, an hour earlier by UTC."""
    assert rota.starts(weekly(), 3) == dt.datetime(2026, 3, 23, 8, tzinfo=dt.UTC)
    assert rota.starts(weekly(), 4) == dt.datetime(2026, 3, 30, 7, tzinfo=dt.UTC)


def test_a_hand_over_in_the_hour_that_comes_twice_is_not_taken_back() -> None:
    """At half past two of an October night the turn moves on once."""
    night = weekly(hand_over=dt.time(2, 30), every_days=1, starts_on=dt.date(2026, 10, 24))
    said = [
        rota.on_duty(night, berlin("2026-10-25T02:29:59")),
        rota.on_duty(night, berlin("2026-10-25T02:30:00")),
        rota.on_duty(night, berlin("2026-10-25T02:10:00", fold=1)),
        rota.on_duty(night, berlin("2026-10-25T02:40:00", fold=1)),
    ]
    assert said == [ALICE, BOB, BOB, BOB]


def test_a_hand_over_in_the_hour_that_is_skipped_happens() -> None:
    """At half past two of a March night there is no half past two; the turn moves on all the same."""
    night = weekly(hand_over=dt.time(2, 30), every_days=1, starts_on=dt.date(2026, 3, 28))
    assert rota.on_duty(night, berlin("2026-03-29T01:59:59")) == ALICE
    assert rota.on_duty(night, berlin("2026-03-29T03:30:00")) == BOB


def test_the_newest_override_wins_and_ends() -> None:
    """Of two overrides at once the one that was written down last counts, until it ends."""
    noon = berlin("2026-03-03T12:00:00")
    hour = dt.timedelta(hours=1)
    both = weekly(stands=[Stand(BOB, noon, noon + 3 * hour), Stand(CAROL, noon, noon + hour)])
    assert [rota.on_duty(both, noon + hour * n) for n in range(4)] == [CAROL, BOB, BOB, ALICE]


def test_hours_and_weekdays_leave_gaps_that_an_override_fills() -> None:
    """Office hours cover no night and no Sunday; an override counts there too."""
    sunday = berlin("2026-03-08T12:00:00")
    office = weekly(since=dt.time(9), until=dt.time(17), weekdays=0b0011111)
    assert rota.on_duty(office, berlin("2026-03-03T09:00:00")) == ALICE
    assert rota.on_duty(office, berlin("2026-03-03T17:00:00")) is None
    assert rota.on_duty(office, sunday) is None
    stood = weekly(weekdays=0b0011111, stands=[Stand(BOB, sunday, sunday + dt.timedelta(hours=1))])
    assert rota.on_duty(stood, sunday) == BOB


def test_hours_over_midnight_belong_to_the_day_they_begin() -> None:
    """A Friday's night shift ends on Saturday morning, although Saturdays are not covered."""
    nights = weekly(since=dt.time(22), until=dt.time(6), weekdays=0b0010000)
    assert rota.on_duty(nights, berlin("2026-03-07T05:59:00")) == ALICE
    assert rota.on_duty(nights, berlin("2026-03-07T22:00:00")) is None


@pytest.mark.parametrize(
    ("at", "ends"),
    [
        ("2026-03-28T21:59:00", None),
        ("2026-03-28T22:00:00", "2026-03-29T07:00:00"),
        ("2026-03-29T06:59:00", "2026-03-29T07:00:00"),
        ("2026-03-29T07:00:00", None),
    ],
)
def test_quiet_hours_end_in_the_morning(at: str, ends: str | None) -> None:
    """Quiet hours over midnight end at the local morning, also in the night that is an hour shorter."""
    found = rota.quiet_until(BERLIN, dt.time(22), dt.time(7), berlin(at))
    assert found == (berlin(ends) if ends else None)


TIMES = st.times().map(lambda time: time.replace(second=0, microsecond=0))
ROTAS = st.builds(
    Rota,
    people=st.lists(st.sampled_from([ALICE, BOB, CAROL]), max_size=3),
    zone=st.sampled_from([BERLIN, ZoneInfo("UTC"), ZoneInfo("America/New_York"), ZoneInfo("Asia/Kathmandu")]),
    starts_on=st.dates(dt.date(2026, 1, 1), dt.date(2026, 12, 1)),
    hand_over=TIMES,
    every_days=st.integers(1, 14),
    weekdays=st.integers(0, 127),
    since=st.none() | TIMES,
    until=st.none() | TIMES,
)
MOMENTS = st.datetimes(dt.datetime(2026, 1, 1), dt.datetime(2027, 1, 1), timezones=st.just(dt.UTC))


@given(one=ROTAS, start=MOMENTS, at=st.integers(0, 1_727_999))
def test_shifts_say_the_same_as_the_moment(one: Rota, start: dt.datetime, at: int) -> None:
    """The shifts of a span have no hole and no overlap, and each says who is on duty within it."""
    end = start + dt.timedelta(days=20)
    found = rota.shifts(one, start, end)
    assert [shift.starts_at for shift in found] == [start, *(shift.ends_at for shift in found[:-1])]
    assert found[-1].ends_at == end
    moment = start + at * dt.timedelta(seconds=1)
    (within,) = (shift for shift in found if shift.starts_at <= moment < shift.ends_at)
    assert within.person == rota.on_duty(one, moment)
